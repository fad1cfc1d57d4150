"""What an agent's service on this machine says that it serves, asked over HTTP."""

import time
from pathlib import Path

import httpx
import msgspec
from pydantic import SecretStr

from adapters.processes.run_file import find_process
from domain.voting import AgentId

_POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 2.0


class Served(msgspec.Struct, frozen=True):
    """The version whose weights a service has loaded; other fields of its answer are not read."""

    label: str
    weights_sha256: str


def served(home: Path, agent: AgentId, token: SecretStr) -> Served | None:
    """Return what the agent's running service serves; None where none runs, or none answers."""
    process = find_process(home, f"agent.{agent}")
    if process is None:
        return None
    try:
        answer = httpx.post(
            f"{process.url}/version",
            headers=_authorization(token),
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        ).raise_for_status()
        return msgspec.json.decode(answer.content, type=Served)
    except (httpx.HTTPError, msgspec.DecodeError):
        return None


def difference(
    home: Path,
    agent: AgentId,
    label: str,
    weights: str,
    *,
    token: SecretStr,
    patience_seconds: float,
) -> str:
    """Return how what is served differs from a version and its weights; empty if it doesn't.

    A service takes another version up within moments, so a difference counts only once it has
    lasted. Where no service runs, there is nothing to differ.
    """
    if find_process(home, f"agent.{agent}") is None:
        return ""
    deadline = time.monotonic() + patience_seconds
    while True:
        found = served(home, agent, token)
        if found == Served(label, weights):
            return ""
        if time.monotonic() >= deadline:
            told = "gives no answer" if found is None else f"serves {found.label}"
            if found is not None and found.label == label:
                told = f"serves other weights as {label}: {found.weights_sha256[:8]}"
            return f"{label} is champion, the running service {told}."
        time.sleep(_POLL_SECONDS)


def _authorization(token: SecretStr) -> dict[str, str]:
    secret = token.get_secret_value()
    return {"authorization": f"Bearer {secret}"} if secret else {}
