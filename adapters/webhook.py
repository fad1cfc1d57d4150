"""Announcements to somebody else's HTTP endpoint, signed so that it can tell them from others'.

Headers and signature are those of the Standard Webhooks specification (version 1): the receiver
dedupes by ``webhook-id``, refuses an old ``webhook-timestamp``, and recomputes the signature, the
base64 of HMAC-SHA256 over ``id.timestamp.body``.
"""

import hmac
import time
from base64 import b64encode
from urllib.parse import urlsplit

import httpx

from domain.errors import ConfigurationError, EnvironmentProblem

#: Seconds that one attempt may take.
TIMEOUT_SECONDS = 5.0


class Webhook:
    """An endpoint that announcements go to.

    Parameters
    ----------
    url
        Where they are posted, as JSON.
    secret
        Key of the signatures.

    Raises
    ------
    ConfigurationError
        If the address is not HTTP's, or the secret is empty.
    """

    def __init__(self, url: str, secret: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                "QUORUM_REVIEW__WEBHOOK_URL is not an http:// or https:// address.",
                next_step="Mend it, or leave it empty: reviews are then announced in the log only.",
            )
        if not secret:
            raise ConfigurationError(
                "Announcements have no key to be signed with.",
                next_step="Set QUORUM_REVIEW__WEBHOOK_SECRET to what the receiver knows too.",
            )
        self._url = url
        self._secret = secret.encode()
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)

    async def send(self, notice_id: str, body: bytes) -> None:
        """Post one announcement; a repeated one has the same id.

        Raises
        ------
        EnvironmentProblem
            If the endpoint can't be reached or does not answer with success (2xx).
        """
        timestamp = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": notice_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(self._secret, notice_id, timestamp, body),
        }
        try:
            answer = await self._client.post(self._url, content=body, headers=headers)
        except httpx.RequestError as problem:
            raise _undelivered(type(problem).__name__) from None
        if not answer.is_success:
            raise _undelivered(f"status {answer.status_code}")

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()


def signature(secret: bytes, notice_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of ``webhook-signature``."""
    signed = f"{notice_id}.{timestamp}.".encode() + body
    return f"v1,{b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"


def _undelivered(why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"An announcement was not taken by the webhook: {why}.",
        kept="The review waits in the queue.",
        next_step="Mend the endpoint that QUORUM_REVIEW__WEBHOOK_URL names.",
    )
