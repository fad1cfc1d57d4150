"""How long nothing is decided: a warm standby takes over after SIGKILL; a cold start.

From the signal, or from starting the program, until the decision on a proposal is heard that was
published just before; its four votes with it.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from adapters.ledger import migrate
from adapters.profile import connected
from benchmarks.consensus_process import opened
from benchmarks.measure import Row, median, run
from benchmarks.state import new_home
from domain.ports.bus import MessageBus
from domain.settings import Settings, load_settings
from domain.streams import Stream
from orchestration.live_plane import CONSENSUS, process_specs
from tests.builders import proposal, votes

_ROUNDS = 7
_STANDBY_GOAL, _COLD_GOAL = 0.1, 1.5


def measure() -> list[Row]:
    with new_home() as home, connected(load_settings(home=home, clock="event")) as settings:
        migrate(settings.ledger_url.get_secret_value())
        warm, cold = asyncio.run(_measure(settings))
    return [
        Row(
            figure=f"{name}, decision heard again after (median of {_ROUNDS})",
            unit="ms",
            ours=1000 * median(seconds),
            beside="the goal",
            theirs=1000 * goal,
        )
        for name, seconds, goal in (
            ("warm standby", warm, _STANDBY_GOAL),
            ("cold start", cold, _COLD_GOAL),
        )
    ]


async def _measure(settings: Settings) -> tuple[list[float], list[float]]:
    warm: list[float] = []
    cold: list[float] = []
    async with opened(settings) as bus:
        decisions = _Decisions(bus)
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            with _consensus(settings) as writer:
                await decisions.next()
                cold.append(time.perf_counter() - began)
                with _consensus(settings) as standby:
                    await _waits_for_the_lease(settings)
                    began = time.perf_counter()
                    writer.kill()
                    await decisions.next()
                    warm.append(time.perf_counter() - began)
                    standby.kill()
    return warm, cold


class _Decisions:
    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._number = 0
        self._position = ""

    async def next(self) -> None:
        """Publish a proposal with its votes, and wait for the decision."""
        self._number += 1
        name = f"failover-{self._number}"
        await self._bus.publish(Stream.PROPOSALS, 0, proposal(name))
        await asyncio.gather(*(self._bus.publish(Stream.VOTES, 0, v) for v in votes(name)))
        heard = await self._bus.read(Stream.DECISIONS, 0, after=self._position, wait_ms=30_000)
        (decision,) = heard
        self._position = decision.position


@contextmanager
def _consensus(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run a consensus with a state folder of its own, so that two may run; the keys are shared."""
    with tempfile.TemporaryDirectory() as home:
        keys = settings.keys_folder or settings.home / "keys"
        own = settings.model_copy(update={"home": Path(home), "keys_folder": keys})
        (spec,) = [s for s in process_specs(own) if s.name == CONSENSUS]
        process = subprocess.Popen(
            spec.command, env={**os.environ, **spec.environment}, stderr=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def _waits_for_the_lease(settings: Settings) -> None:
    address = settings.ledger_url.get_secret_value().replace("+psycopg", "", 1)
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(address, autocommit=True) as connection:
        while connection.execute(query).fetchone() == (0,):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    run(measure)
