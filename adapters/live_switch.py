"""The switch to real money, and the measured paper runs that it stands on: files of a state folder.

The runs are kept by `quorum gap`, the switch is written by `quorum live enable`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from adapters.files import write_atomically
from adapters.processes.software import software_of
from domain.errors import ConfigurationError, LiveTradingRefused
from domain.live import LiveTrading, PaperRun, passed_run, what_it_lacks
from domain.messages import encode
from domain.settings import Settings

_RUN = ".gap.json"
_Kept = TypeVar("_Kept", PaperRun, LiveTrading)


class LiveSwitch:
    """The switch of a state folder.

    Parameters
    ----------
    settings
        Whose state folder, whose software, and what a paper run must have shown.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / "live.json"
        self._runs = settings.home / "paper"
        self._rules = settings.venue
        self._software = software_of(settings)

    def keep(self, session: str, *, decisions: int, trades: int, unexplained: int) -> PaperRun:
        """Keep what was measured of a paper session, in the place of what was before."""
        run = PaperRun(
            session=session,
            decisions=decisions,
            trades=trades,
            unexplained=unexplained,
            software=self._software,
            measured_at=datetime.now(UTC),
        )
        write_atomically(self._runs / f"{session}{_RUN}", encode(run))
        return run

    def runs(self) -> Sequence[PaperRun]:
        """Return the measured paper runs.

        Raises
        ------
        ConfigurationError
            If a file can't be read.
        """
        return [_read(path, PaperRun) for path in sorted(self._runs.glob(f"*{_RUN}"))]

    def passed_run(self) -> PaperRun:
        """Return the newest paper run that lets real money be traded now.

        Raises
        ------
        LiveTradingRefused
            If there is none.
        """
        return passed_run(self.runs(), datetime.now(UTC), self._software, self._rules)

    def enabled(self) -> LiveTrading | None:
        """Return who turned the switch on, and for which account; None while it is off.

        Raises
        ------
        ConfigurationError
            If the file can't be read.
        """
        return _read(self._path, LiveTrading) if self._path.exists() else None

    def enable(self, account: str, actor: str, reason: str) -> LiveTrading:
        """Turn the switch on for one account.

        Raises
        ------
        LiveTradingRefused
            If no paper run passed.
        """
        enabled = LiveTrading(
            venue=self._rules.name,
            account=account,
            actor=actor,
            reason=reason,
            paper_run=self.passed_run(),
            enabled_at=datetime.now(UTC),
        )
        write_atomically(self._path, encode(enabled), mode=0o600)
        return enabled

    def disable(self) -> None:
        """Turn the switch off; the next start refuses."""
        self._path.unlink(missing_ok=True)

    def demand(self, account: str) -> None:
        """See that this account's real money may be traded by this software.

        The paper run must have been recent when the switch was turned on, not at each start: a
        restart after a crash must not find the door shut by the calendar.

        Raises
        ------
        LiveTradingRefused
            If nobody turned the switch on, or for another account, or for other software.
        """
        enabled = self.enabled()
        if enabled is None:
            raise LiveTradingRefused(
                "Nobody has turned on trading with real money.",
                next_step="Measure a paper run (`quorum gap`), then `quorum live enable`.",
            )
        if (enabled.venue, enabled.account) != (self._rules.name, account):
            raise LiveTradingRefused(
                f"Real money was turned on for the account {enabled.account} at {enabled.venue}, "
                f"not for {account} at {self._rules.name}.",
                next_step="Use that account's keys, or `quorum live enable` for this one.",
            )
        run, at = enabled.paper_run, enabled.enabled_at
        if lack := what_it_lacks(run, at, self._software, self._rules):
            raise LiveTradingRefused(
                f"Real money was turned on by the paper run {run.session!r}, which {lack}.",
                next_step="Run `quorum paper` and `quorum gap` again, then `quorum live enable`.",
            )


def _read(path: Path, kind: type[_Kept]) -> _Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigurationError(
            f"{path} can't be read: {problem}.",
            kept="No real money is traded.",
            next_step="Remove it; measure the paper run or turn the switch on again.",
        ) from None
