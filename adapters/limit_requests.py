"""Requests to change limits: one file of the state folder, beside that of the kill switch.

`quorum controls change` and `confirm` write it, the gateway reads it with every message, so neither
needs the bus. It holds the last request of each limit with its confirmations; what came of them is
on record. While it can't be read no limit changes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import structlog

from adapters.files import write_atomically
from adapters.locks import owned_lock
from domain.errors import ConfigurationError
from domain.identity import derive_id
from domain.limits import LimitChangeConfirmed, LimitChangeRequested
from domain.messages import encode

_PATIENCE_SECONDS = 5.0
_Wish = LimitChangeRequested | LimitChangeConfirmed

_log = structlog.get_logger(__name__)


class FileLimitRequests:
    """The requests of a state folder (implements `domain.ports.limit_requests.LimitRequests`).

    Parameters
    ----------
    home
        The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "limit-requests.json"
        self._seen: tuple[int, int, int] | None = None
        self._wishes: tuple[_Wish, ...] = ()

    def requests(self) -> Sequence[_Wish]:
        """Return what persons asked for; one system call while nothing has changed."""
        try:
            found = self._path.stat()
            seen = found.st_mtime_ns, found.st_size, found.st_ino
            if seen != self._seen:
                self._seen, self._wishes = seen, ()
                self._wishes = self._read()
        except FileNotFoundError:
            self._seen, self._wishes = None, ()
        except (OSError, ConfigurationError) as problem:
            _log.error("no limit changes: the requests can't be read", problem=str(problem))
        return self._wishes

    def ask(self, limit: str, value: Decimal, actor: str, reason: str) -> LimitChangeRequested:
        """Ask for a value of a limit, in the place of what was asked of it before.

        Raises
        ------
        ConfigurationError
            If the file can't be read.
        InvalidValue
            If it is not said who asks and why.
        """
        at = datetime.now(UTC)
        identity = derive_id("limit request", limit, str(value), actor, at.isoformat())
        request = LimitChangeRequested(
            message_id=identity,
            correlation_id=identity,
            occurred_at=at,
            limit=limit,
            value=value,
            actor=actor,
            reason=reason,
        )
        with self._alone():
            known = self._read()
            replaced = {
                wish.message_id
                for wish in known
                if isinstance(wish, LimitChangeRequested) and wish.limit == limit
            }
            self._write([*(w for w in known if not replaced & {w.message_id, _of(w)}), request])
        return request

    def confirm(
        self, request: LimitChangeRequested, actor: str, reason: str
    ) -> LimitChangeConfirmed:
        """Confirm what another person asked for.

        Raises
        ------
        ConfigurationError
            If the file can't be read.
        InvalidValue
            If it is not said who confirms and why.
        """
        at = datetime.now(UTC)
        confirmation = LimitChangeConfirmed(
            message_id=derive_id("limit confirmation", request.message_id, actor, at.isoformat()),
            correlation_id=request.correlation_id,
            causation_id=request.message_id,
            occurred_at=at,
            request_id=request.message_id,
            actor=actor,
            reason=reason,
        )
        with self._alone():
            self._write([*self._read(), confirmation])
        return confirmation

    def asked(self, limit: str) -> LimitChangeRequested | None:
        """Return the last request of a limit; None if there is none.

        Raises
        ------
        ConfigurationError
            If the file can't be read.
        """
        for wish in self._read():
            if isinstance(wish, LimitChangeRequested) and wish.limit == limit:
                return wish
        return None

    def _read(self) -> tuple[_Wish, ...]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[_Wish, ...])
        except FileNotFoundError:
            return ()
        except msgspec.DecodeError as problem:
            raise ConfigurationError(
                f"{self._path} is damaged: {problem}.",
                kept="The limits stay as they are on record.",
                next_step="Remove it, and ask again for what was not yet taken in.",
            ) from None

    def _write(self, wishes: Sequence[_Wish]) -> None:
        lines = b",\n".join(map(encode, wishes))
        write_atomically(self._path, b"[\n" + lines + b"\n]\n", mode=0o600)

    def _alone(self) -> AbstractContextManager[None]:
        """Keep other commands from changing the file meanwhile."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_suffix(".lock")
        return owned_lock(lock, patience_seconds=_PATIENCE_SECONDS, purpose="changing limits")


def _of(wish: _Wish) -> str:
    """Return the id of the request that a confirmation confirms; a request confirms none."""
    return wish.request_id if isinstance(wish, LimitChangeConfirmed) else ""
