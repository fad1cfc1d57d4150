"""The gateway process: ``python -m trading.service``.

Takes market data and decisions off the bus, runs the order path on its venue and records
everything before anyone hears of it. Starting is recovering: portfolio, open orders, pending
experiences and the trading state come from the log "orders". While the log can't be written the
process is not ready and nothing is traded.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import structlog

from adapters.brokers.accounts import check_account, outside_broker
from adapters.bus import open_bus
from adapters.clock import open_clock
from adapters.health import health_app, serve_health
from adapters.keys import FolderKeyRing, KeyFolder, sealing
from adapters.kill_switch import FileKillSwitch
from adapters.ledger import migrate, open_ledger
from adapters.limit_requests import FileLimitRequests
from adapters.market_data.sessions import trading_sessions
from adapters.metrics import PrometheusMetrics
from adapters.processes.fleet import Fleet
from adapters.processes.run_file import stop_requested
from adapters.processes.software import software_of
from adapters.profile import connected
from adapters.run_process import run_process
from consensus.authenticity import Authenticity
from consensus.housekeeping import Housekeeping
from consensus.processor import Processor
from consensus.retries import keep_running, until_first_ends
from domain.producers import Producer
from domain.sessions import Sessions
from domain.settings import Settings
from domain.streams import Stream
from trading.handler import LOG_PARTITION, GatewayHandler
from trading.kill_switch import watch
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue

PROCESS = "gateway"

#: Streams that nobody takes in on record; the gateway keeps them in bounds.
FOLLOWED = (
    Stream.NEWS,
    Stream.ORDERS,
    Stream.EXECUTIONS,
    Stream.PORTFOLIO,
    Stream.EXPERIENCES,
    Stream.DEAD_LETTERS,
)

#: Sessions that are known: every day that daily bars are usually had of, and a year ahead.
_FIRST_SESSION = date(1990, 1, 1)
_AHEAD = timedelta(days=365)

_log = structlog.get_logger(__name__)


class GatewayService:
    """Wires the gateway to the adapters that the settings name.

    Parameters
    ----------
    settings
        Connected settings (`adapters.profile.connected`).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = PrometheusMetrics()
        self._processor: Processor | None = None
        self._switch = FileKillSwitch(settings.home)
        self._sessions = sessions_of(settings)
        self._software = software_of(settings)
        self._fleet = Fleet(settings.home, self._software, settings.partitions)
        self._account = outside_broker(settings)
        self._venue = self._account or PaperVenue(settings.trading, self._sessions)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve health and process until `stop` is set.

        Raises
        ------
        domain.errors.Fenced
            If another gateway took over.
        """
        app = health_app(self._metrics, self.problems)
        settings = self._settings
        async with serve_health(
            app,
            settings.serving.host,
            settings.metrics_port,
            home=settings.home,
            process=PROCESS,
            software=self._software,
        ):
            try:
                await until_first_ends(
                    keep_running(self._open_processor, stop),
                    self._keep_house(),
                    self._watch_switch(),
                    self._watch_fleet(),
                )
            finally:
                if self._account is not None:
                    await self._account.close()

    async def _watch_switch(self) -> None:
        """Obey the kill switch whatever the record and the bus are doing."""
        await watch(self._switch, self._venue, self._metrics, self._settings.trading.venue)

    async def _watch_fleet(self) -> None:
        """Learn what the other workers run."""
        ledger = open_ledger(self._settings)
        try:
            await self._fleet.watch(ledger)
        finally:
            await ledger.close()

    async def _keep_house(self) -> None:
        settings = self._settings
        partitions = range(settings.partitions)
        consumed = sources(settings.partitions)
        bus = open_bus(settings)
        try:
            await Housekeeping(
                bus,
                self._metrics,
                group=PROCESS,
                sources=consumed,
                trims=[*consumed, *((stream, p) for stream in FOLLOWED for p in partitions)],
                keep=settings.bus.kept_messages,
            ).run()
        finally:
            await bus.close()

    def problems(self) -> list[str]:
        """Return why nothing is traded; empty when all is well."""
        if self._processor is None or not self._processor.ready:
            return ["recovering, waiting for another gateway to end, or the record is away"]
        return []

    @asynccontextmanager
    async def _open_processor(self) -> AsyncIterator[Processor]:
        """Yield a processor on fresh connections, with everything that it stands on."""
        settings, metrics = self._settings, self._metrics
        if self._account is not None:
            await check_account(self._account, settings)
        bus = open_bus(settings, metrics, encode=sealing(settings, Producer.GATEWAY))
        ledger = open_ledger(settings)
        await self._fleet.look(ledger)
        handler = GatewayHandler(
            self._venue,
            open_clock(settings),
            metrics,
            settings,
            Authenticity(FolderKeyRing(KeyFolder.of(settings))),
            switch=self._switch,
            limit_requests=FileLimitRequests(settings.home),
            around=Surroundings(sessions=self._sessions, versions=self._fleet.versions),
        )
        try:
            self._processor = Processor(
                bus,
                ledger,
                handler,
                metrics,
                group=PROCESS,
                partition=LOG_PARTITION,
                sources=sources(settings.partitions),
                maximum_bytes=settings.maximum_message_bytes,
            )
            yield self._processor
        finally:
            self._processor = None
            await ledger.close()
            await bus.close()


def sessions_of(settings: Settings) -> Sessions | None:
    """Return the venue's calendar: every year that a replay or this year's trading may need."""
    exchange = settings.trading.exchange
    if not exchange:
        return None
    return trading_sessions(exchange, _FIRST_SESSION, datetime.now(UTC).date() + _AHEAD)


def sources(partitions: int) -> list[tuple[Stream, int]]:
    """Return the stream partitions that the gateway consumes."""
    split = (Stream.MARKET, Stream.DECISIONS)
    return [
        (Stream.TRADING_STATE, 0),
        *((stream, partition) for stream in split for partition in range(partitions)),
    ]


async def serve(settings: Settings) -> None:
    """Run the gateway until SIGINT or SIGTERM."""
    with stop_requested() as stop:
        await GatewayService(settings).run(stop)


def main() -> int:
    """Run the process; returns its exit code."""
    return run_process(PROCESS, _run)


def _run(settings: Settings) -> None:
    with connected(settings, servers=("valkey", "postgres"), producer=Producer.GATEWAY) as ready:
        migrate(ready.ledger_url.get_secret_value())
        if portfolio := ready.portfolio_url.get_secret_value():
            migrate(portfolio)
        asyncio.run(serve(ready))


if __name__ == "__main__":
    sys.exit(main())
