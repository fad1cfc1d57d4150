"""The real consensus process on real servers, for benchmarks of the decision path."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from adapters.ledger import migrate
from adapters.processes import Supervisor
from adapters.profile import connected
from benchmarks.state import new_home
from domain.ports.bus import MessageBus
from domain.settings import Settings, load_settings
from orchestration.live_plane import CONSENSUS, process_specs
from tests.sealing import open_bus_for_everyone

_READY_SECONDS = 60.0


@contextmanager
def consensus_running(**fields: str) -> Iterator[Settings]:
    """Yield connected settings of a new state folder in which the consensus decides."""
    with (
        new_home() as home,
        connected(load_settings(home=home, clock="event", **fields)) as settings,
    ):
        migrate(settings.ledger_url.get_secret_value())
        with Supervisor(home) as supervisor:
            for spec in process_specs(settings):
                if spec.name == CONSENSUS:
                    supervisor.add(spec)
            supervisor.start()
            supervisor.wait_until_ready(_READY_SECONDS)
            yield settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[MessageBus]:
    bus = open_bus_for_everyone(settings)
    try:
        yield bus
    finally:
        await bus.close()
