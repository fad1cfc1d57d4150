"""The consensus process: ``python -m consensus.service``.

Takes proposals, votes, review verdicts and logical time off the bus, decides, and records every
decision before anyone hears of it. One processor a partition; each waits as a standby while
another process writes its partition. While the log can't be written the process is not ready.
"""

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from adapters.bus import open_bus
from adapters.clock import open_clock
from adapters.health import health_app, serve_health
from adapters.keys import FolderKeyRing, KeyFolder, sealing
from adapters.ledger import migrate, open_ledger
from adapters.metrics import PrometheusMetrics
from adapters.processes.run_file import stop_requested
from adapters.processes.software import software_of
from adapters.profile import connected
from adapters.run_process import run_process
from consensus.authenticity import Authenticity, Window
from consensus.decisions import STREAMS, DecisionHandler
from consensus.housekeeping import Housekeeping
from consensus.letters import LetterIntake
from consensus.processor import Processor
from consensus.retries import keep_running, until_first_ends
from domain.breaker import BreakerRules
from domain.errors import ConfigurationError, EnvironmentProblem
from domain.identity import derive_id
from domain.market import Tick
from domain.producers import Producer
from domain.rules import Rules
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import Thresholds

PROCESS = "consensus"

_TICKS_PER_DEADLINE = 4
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
_log = structlog.get_logger(__name__)


def rules_from(settings: Settings) -> Rules:
    """Return what the engine is told by the settings."""
    voting, review = settings.consensus, settings.review
    return Rules(
        thresholds=Thresholds(
            execute_at_weighted_score=voting.execute_at_weighted_score,
            review_above_variance=voting.review_above_variance,
        ),
        vote_deadline=timedelta(seconds=voting.vote_deadline_seconds),
        vote_time_to_live=timedelta(seconds=voting.vote_time_to_live_seconds),
        proposal_time_to_live=timedelta(seconds=voting.proposal_time_to_live_seconds),
        breaker=BreakerRules(
            missed_rounds=voting.breaker_missed_rounds,
            late_votes=voting.breaker_late_votes,
            refused_votes=voting.breaker_refused_votes,
            pause=timedelta(seconds=voting.breaker_pause_seconds),
        ),
        review_timeout=timedelta(seconds=review.timeout_seconds),
        review_escalation=timedelta(
            seconds=review.timeout_seconds * review.escalate_after_fraction
        ),
        review_price_collar=settings.trading.price_collar,
        review_four_eyes_above=review.four_eyes_above_value,
    )


class ConsensusService:
    """Wires the engine to the adapters that the settings name.

    Parameters
    ----------
    settings
        Connected settings (`adapters.profile.connected`), the ledger's schema at its head.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = PrometheusMetrics()
        self._clock = open_clock(settings)
        self._authenticity = Authenticity(
            FolderKeyRing(KeyFolder.of(settings)),
            partitions=settings.partitions,
            clock=self._clock if settings.clock == "system" else None,
            window=Window(
                past=timedelta(seconds=settings.consensus.maximum_message_age_seconds),
                future=timedelta(seconds=settings.consensus.maximum_clock_skew_seconds),
            ),
        )
        self._processors: dict[int, Processor] = {}
        self._own = owned(settings)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve health and decide until `stop` is set; a fault in one partition ends them all.

        Raises
        ------
        domain.errors.Fenced
            If another process took a partition over.
        """
        settings = self._settings
        app = health_app(self._metrics, self.problems)
        host, port = settings.serving.host, settings.metrics_port
        software = software_of(settings)
        async with serve_health(
            app, host, port, home=settings.home, process=PROCESS, software=software
        ):
            await self._work(stop)

    async def _work(self, stop: asyncio.Event) -> None:
        beside = [self._keep_house()]
        if self._settings.clock == "system":
            beside.append(self._tell_time())
        work = [
            keep_running(partial(self._open_processor, partition), stop) for partition in self._own
        ]
        work.append(keep_running(self._open_letter_intake, stop))
        await until_first_ends(_together(work), *beside)

    def problems(self) -> list[str]:
        """Return why nothing is decided; empty when all is well."""
        return [
            f"partition {partition}: recovering, standing by, or the record is away"
            for partition in self._own
            if not ((processor := self._processors.get(partition)) and processor.ready)
        ]

    @asynccontextmanager
    async def _open_processor(self, partition: int) -> AsyncGenerator[Processor]:
        """Yield a partition's processor on connections of its own."""
        settings = self._settings
        bus = open_bus(settings, self._metrics, encode=sealing(settings, Producer.CONSENSUS))
        ledger = open_ledger(settings)
        try:
            handler = DecisionHandler(
                rules_from(settings),
                self._metrics,
                partition=partition,
                clock=self._clock if settings.clock == "system" else None,
                authenticity=self._authenticity,
            )
            self._processors[partition] = Processor(
                bus,
                ledger,
                handler,
                self._metrics,
                group=PROCESS,
                partition=partition,
                sources=[(stream, partition) for stream in STREAMS],
                last=[Stream.TIME],
                limit=settings.consensus.batch_messages,
                ahead=True,
                maximum_bytes=settings.maximum_message_bytes,
                attribute=handler.refused_vote,
            )
            yield self._processors[partition]
        finally:
            self._processors.pop(partition, None)
            await ledger.close()
            await bus.close()

    @asynccontextmanager
    async def _open_letter_intake(self) -> AsyncGenerator[LetterIntake]:
        bus = open_bus(self._settings, self._metrics)
        ledger = open_ledger(self._settings)
        try:
            yield LetterIntake(bus, ledger, consumer=PROCESS, partitions=self._settings.partitions)
        finally:
            await ledger.close()
            await bus.close()

    async def _tell_time(self) -> None:
        """Publish logical time, often enough that a deadline is judged soon after it passed."""
        interval = self._settings.consensus.vote_deadline_seconds / _TICKS_PER_DEADLINE
        sealed = sealing(self._settings, Producer.CONSENSUS)
        bus = open_bus(self._settings, self._metrics, encode=sealed)
        try:
            while True:
                await asyncio.sleep(interval)
                now = self._clock.now()
                for partition, processor in list(self._processors.items()):
                    if processor.ready:
                        identity = derive_id("tick", partition, now.isoformat())
                        tick = Tick(message_id=identity, correlation_id=identity, occurred_at=now)
                        with suppress(EnvironmentProblem):  # the processors say that it is away
                            await bus.publish(Stream.TIME, partition, tick)
        finally:
            await bus.close()

    async def _keep_house(self) -> None:
        settings = self._settings
        sources = [(s, p) for p in self._own for s in STREAMS]
        bus = open_bus(settings)
        try:
            await Housekeeping(
                bus,
                self._metrics,
                group=PROCESS,
                sources=sources,
                trims=sources,
                keep=settings.bus.kept_messages,
            ).run()
        finally:
            await bus.close()


def owned(settings: Settings) -> Sequence[int]:
    """Return the partitions that this process decides.

    Raises
    ------
    ConfigurationError
        If the settings name one that there is not.
    """
    every = range(settings.partitions)
    named = settings.consensus.own_partitions
    if unknown := [partition for partition in named if partition not in every]:
        raise ConfigurationError(
            f"There is no partition {unknown[0]}: there are {settings.partitions}, from 0 on.",
            next_step="Correct QUORUM_CONSENSUS__OWN_PARTITIONS, or QUORUM_PARTITIONS everywhere.",
        )
    return sorted(set(named)) or every


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*work)


async def serve(settings: Settings) -> None:
    """Run the service until SIGINT or SIGTERM."""
    with stop_requested() as stop:
        await ConsensusService(settings).run(stop)


def main() -> int:
    """Run the process; returns its exit code."""
    return run_process(PROCESS, _run)


def _run(settings: Settings) -> None:
    with connected(settings, servers=("valkey", "postgres"), producer=Producer.CONSENSUS) as ready:
        migrate(ready.ledger_url.get_secret_value())
        # Hardly anything here is cyclic, and nothing that was imported ever goes: collecting as
        # often as by default took a tenth of a decision's time.
        gc.freeze()
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        asyncio.run(serve(ready))


if __name__ == "__main__":
    sys.exit(main())
