"""Announcements to a real HTTP endpoint."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from adapters.webhook import Webhook, signature
from domain.errors import ConfigurationError, EnvironmentProblem


class Receiver(ThreadingHTTPServer):
    """Keeps what was posted and answers with the statuses that it is given, then with 204."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("location", self.server.url)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    with Receiver(*statuses) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


async def test_the_receiver_can_tell_that_it_is_ours_and_when_it_was_sent():
    with receiving() as receiver:
        webhook = Webhook(receiver.url, "a secret")
        await webhook.send("n1", b'{"a":1}')
        await webhook.close()
    [(headers, body)] = receiver.received
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "n1"
    signed = b"n1." + headers["webhook-timestamp"].encode() + b"." + body
    version, _, tag = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert b64decode(tag) == hmac.new(b"a secret", signed, "sha256").digest()


def test_the_signature_is_the_specifications():
    """The example that the Standard Webhooks specification gives."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert found == "v1," + b64encode(b64decode(found[3:])).decode()


@pytest.mark.parametrize("status", [301, 307, 400, 410, 500])
async def test_what_is_not_taken_is_told_without_the_secret(status: int):
    with receiving(status) as receiver:
        webhook = Webhook(receiver.url, "a secret")
        with pytest.raises(EnvironmentProblem, match=f"status {status}") as problem:
            await webhook.send("n1", b"{}")
        await webhook.close()
    assert len(receiver.received) == 1  # redirects are not followed
    assert "a secret" not in str(problem.value)


async def test_an_endpoint_that_is_away_is_told():
    with receiving() as receiver:
        pass
    webhook = Webhook(receiver.url, "a secret")
    with pytest.raises(EnvironmentProblem, match="ConnectError"):
        await webhook.send("n1", b"{}")
    await webhook.close()


@pytest.mark.parametrize(
    ("url", "secret"),
    [("ftp://a", "s"), ("file:///etc/passwd", "s"), ("http://", "s"), ("x", "s"), ("http://a", "")],
)
def test_a_wrong_setting_is_told_at_once(url: str, secret: str):
    with pytest.raises(ConfigurationError):
        Webhook(url, secret)
