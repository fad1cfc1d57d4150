"""The kill switch: one file of the state folder, written by `quorum halt`, read before every order.

It needs neither the bus nor the database. It holds the last request of each scope, so that a
trading state outlives every restart. A file that can't be read halts all trading.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from adapters.files import write_atomically
from adapters.locks import owned_lock
from domain.identity import derive_id
from domain.messages import encode
from domain.orders import EVERYTHING, Scope, TradingState, TradingStateRequested

_PATIENCE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class FileKillSwitch:
    """The switch of a state folder (implements `domain.ports.kill_switch.KillSwitch`).

    Parameters
    ----------
    home
        The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "trading-state.json"
        self._seen: tuple[int, int, int] | None = None
        self._requests: tuple[TradingStateRequested, ...] = ()

    def requests(self) -> Sequence[TradingStateRequested]:
        """Return the last request of each scope; one system call while nothing has changed."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - asked before every order
        except FileNotFoundError:
            self._seen, self._requests = None, ()
            return ()
        except OSError as problem:
            return (_unreadable(str(problem.strerror)),)
        seen = found.st_mtime_ns, found.st_size, found.st_ino
        if seen != self._seen:
            self._requests, self._seen = self._read(), seen
        return self._requests

    def press(
        self, state: TradingState, actor: str, reason: str, scope: Scope = EVERYTHING
    ) -> TradingStateRequested:
        """Ask for a trading state; it holds from the next order on.

        Raises
        ------
        InvalidValue
            If it is not said who asks and why.
        """
        at = datetime.now(UTC)
        identity = derive_id("trading state", scope.kind, scope.name, state, actor, at.isoformat())
        request = TradingStateRequested(
            message_id=identity,
            correlation_id=identity,
            occurred_at=at,
            state=state,
            actor=actor,
            reason=reason,
            scope=scope,
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_suffix(".lock")
        with owned_lock(lock, patience_seconds=_PATIENCE_SECONDS, purpose="pressing the switch"):
            others = [other for other in self.requests() if other.scope != scope]
            lines = b",\n".join(map(encode, (*others, request)))
            write_atomically(self._path, b"[\n" + lines + b"\n]\n", mode=0o600)
        return request

    def _read(self) -> tuple[TradingStateRequested, ...]:
        try:
            data = self._path.read_bytes()
            return msgspec.json.decode(data, type=tuple[TradingStateRequested, ...])
        except (OSError, msgspec.DecodeError) as problem:
            return (_unreadable(str(problem)),)


def _unreadable(why: str) -> TradingStateRequested:
    _log.error("the kill switch can't be read, trading is halted", why=why)
    return TradingStateRequested(
        message_id=derive_id("trading state", "unreadable", why),
        correlation_id="kill switch",
        occurred_at=datetime.now(UTC),
        state=TradingState.HALTED,
        actor="kill_switch",
        reason=f"the kill switch can't be read: {why}"[:300],
    )
