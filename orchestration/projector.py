"""The projections' process: ``python -m orchestration.projector``.

Follows the logs in PostgreSQL and fills the read side from them; asks nothing of the processes
that write the logs, and none of them waits for it. A second one stands by until the first ends.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager, closing

import structlog

from adapters.health import health_app, serve_health
from adapters.latest import open_cache
from adapters.ledger import migrate
from adapters.metrics import PrometheusMetrics
from adapters.processes.run_file import stop_requested
from adapters.profile import connected
from adapters.projections import Projector, Standing, projecting
from adapters.projections.latest import CacheFiller
from adapters.run_process import run_process
from consensus.retries import wait_before_retry
from domain.errors import RecordUnavailable
from domain.metrics import Metric
from domain.settings import Settings
from orchestration.projections import JUDGES

PROCESS = "projections"

_LAG_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class ProjectorService:
    """Wires the projector to the adapters that the settings name.

    Parameters
    ----------
    settings
        Connected settings (`adapters.profile.connected`), the ledger's schema at its head.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = PrometheusMetrics()
        self._problem = "starting"
        self._standings: list[Standing] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Serve health and project until `stop` is set; goes on when a lost record is back."""
        app = health_app(self._metrics, self.problems, self.lag)
        host, port = self._settings.serving.host, self._settings.metrics_port
        async with serve_health(app, host, port, home=self._settings.home, process=PROCESS):
            attempt = 0
            while not stop.is_set():
                try:
                    async with self._open_projector() as projector:
                        attempt = 0
                        self._problem = ""
                        await self._project(projector, stop)
                except RecordUnavailable as problem:
                    self._problem = problem.what
                    _log.warning("the projections stand still", problem=problem.what)
                    await wait_before_retry(stop, attempt)
                    attempt += 1

    def problems(self) -> list[str]:
        """Return why nothing is projected; empty when all is well, and for a standby."""
        return [
            *filter(None, [self._problem]),
            *(
                f"the read side holds {-s.events} events of {s.log}/{s.partition} that the log "
                "does not: `quorum projections rebuild` makes it again"
                for s in self._standings
                if s.events < 0
            ),
        ]

    def lag(self) -> dict[str, object]:
        """Return how far the read side is behind: events, and seconds since it was not."""
        seconds = [s.seconds for s in self._standings if s.seconds is not None]
        return {
            "events_behind": sum(s.events for s in self._standings),
            "seconds_behind": round(max(seconds, default=0.0), 3),
        }

    @asynccontextmanager
    async def _open_projector(self) -> AsyncGenerator[Projector | None]:
        url = self._settings.ledger_url.get_secret_value()
        with closing(open_cache(self._settings)) as cache, ExitStack() as held:
            told = CacheFiller(cache, self._metrics)
            opened = projecting(url, JUDGES, told=told)
            yield await asyncio.to_thread(held.enter_context, opened)

    async def _project(self, projector: Projector | None, stop: asyncio.Event) -> None:
        """Project until `stop` is set; as a standby, only wait a while."""
        if projector is None:
            await _wait(stop, _LAG_SECONDS)
            return
        observed = _Every(_LAG_SECONDS)
        renewed = _Every(self._settings.projections.cache_time_to_live_seconds / 3)
        while not stop.is_set():
            events = await self._advance(projector)
            if observed.due():
                self._observe(await asyncio.to_thread(projector.standings))
            if renewed.due():
                await asyncio.to_thread(projector.retell)
            if not events:
                await _wait(stop, self._settings.projections.poll_seconds)
        while await self._advance(projector):  # what was recorded before the stop
            pass

    async def _advance(self, projector: Projector) -> int:
        events = await asyncio.to_thread(projector.advance)
        self._metrics.count(Metric.PROJECTED_EVENTS, events)
        return events

    def _observe(self, standings: list[Standing]) -> None:
        self._standings = standings
        for log in {standing.log for standing in standings}:
            own = [standing for standing in standings if standing.log == log]
            events = sum(standing.events for standing in own)
            seconds = max((s.seconds for s in own if s.seconds is not None), default=0.0)
            self._metrics.gauge(Metric.PROJECTION_LAG_EVENTS, events, log=log)
            self._metrics.gauge(Metric.PROJECTION_LAG_SECONDS, seconds, log=log)


class _Every:
    """Says when something is due that is done at once, and then every so often."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is due; if so, the next time is later."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `stop`, but no longer than so."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def serve(settings: Settings) -> None:
    """Run the process until SIGINT or SIGTERM."""
    with stop_requested() as stop:
        await ProjectorService(settings).run(stop)


def main() -> int:
    """Run the process; returns its exit code."""
    return run_process(PROCESS, _run)


def _run(settings: Settings) -> None:
    with connected(settings, servers=("postgres",)) as ready:
        migrate(ready.ledger_url.get_secret_value())
        asyncio.run(serve(ready))


if __name__ == "__main__":
    sys.exit(main())
