"""Keeping the read side up with the logs: beside the services, or by whoever reads."""

import time
from collections.abc import Generator
from contextlib import contextmanager

import structlog

from adapters.ledger import migrate
from adapters.profile import connected
from adapters.projections import (
    Comparison,
    Judges,
    Standing,
    projecting,
    rebuild,
    standings,
    verify,
)
from agents import scorecards
from domain.settings import Settings

#: What makes scorecards of events.
JUDGES = Judges(scorecards.from_event, scorecards.from_ignored)

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.02
_log = structlog.get_logger(__name__)


def bring_up_to_date(url: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> int:
    """See that what is on record now is projected: by the projector, or here where none runs.

    A projector that does not come up in time is not waited for; a log line says how far behind
    the read side is, and `quorum projections status` does.

    Returns
    -------
    int
        How many of the events on record are not projected yet.
    """
    recorded = {(s.log, s.partition): s.recorded for s in standings(url)}
    deadline = time.monotonic() + patience_seconds
    while missing := _missing(url, recorded):
        with projecting(url, JUDGES) as projector:
            if projector is not None:
                projector.catch_up()
                return 0
        if time.monotonic() > deadline:
            _log.warning("what is read is not up to date", events_missing=missing)
            return missing
        time.sleep(_POLL_SECONDS)
    return 0


def _missing(url: str, recorded: dict[tuple[str, int], int]) -> int:
    """Return how many of the events that were recorded then are not projected yet."""

    def missing(standing: Standing) -> int:
        return recorded.get((standing.log, standing.partition), 0) - standing.projected

    return sum(max(0, missing(standing)) for standing in standings(url))


def read_side_standings(settings: Settings) -> list[Standing]:
    """Return how far the read side is behind each partition of each log."""
    with _ledger(settings) as url:
        return standings(url)


def rebuild_read_side(settings: Settings) -> int:
    """Make the read side again and switch to it; returns the number of events."""
    with _ledger(settings) as url:
        return rebuild(url, JUDGES)


def verify_read_side(settings: Settings) -> Comparison:
    """Make the read side again beside the one in use, and compare the two."""
    with _ledger(settings) as url:
        return verify(url, JUDGES)


@contextmanager
def _ledger(settings: Settings) -> Generator[str]:
    with connected(settings, servers=("postgres",)) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        yield url
