"""The state of the writer's session with the ledger, as it is shown."""

import asyncio

from adapters.ledger.memory import MemoryLedger
from adapters.metrics import PrometheusMetrics
from consensus.recorder import Recorder
from domain.errors import RecordUnavailable
from domain.ports.ledger import Log


def recorder_of(ledger: MemoryLedger) -> tuple[Recorder, PrometheusMetrics]:
    metrics = PrometheusMetrics()
    return Recorder(ledger, metrics, log=Log.DECISIONS, partition=3), metrics


def sessions(metrics: PrometheusMetrics) -> float | None:
    labels = {"log": "decisions", "partition": "3"}
    return metrics.registry.get_sample_value("quorum_ledger_sessions", labels)


async def test_a_session_counts_while_its_lease_is_held():
    ledger = MemoryLedger()
    (first, shown_first), (second, shown_second) = recorder_of(ledger), recorder_of(ledger)
    await first.become_writer(asyncio.Event())
    assert sessions(shown_first) == 1
    standing_by = asyncio.create_task(second.become_writer(asyncio.Event()))
    while sessions(shown_second) is None:  # noqa: ASYNC110 - a gauge tells nobody
        await asyncio.sleep(0)
    assert sessions(shown_second) == 0
    await first.release()
    assert sessions(shown_first) == 0
    await standing_by
    assert sessions(shown_second) == 1


async def test_a_session_does_not_count_while_the_ledger_is_away():
    recorder, metrics = recorder_of(MemoryLedger())
    seen: list[float | None] = []

    async def away_at_first() -> None:
        seen.append(sessions(metrics))
        if len(seen) == 1:
            raise RecordUnavailable("away", next_step="wait")

    await recorder.become_writer(asyncio.Event())
    await recorder.patiently(away_at_first)
    assert seen == [1, 0]
    assert sessions(metrics) == 1


async def test_a_ledger_that_is_away_from_the_start_shows_no_session():
    recorder, metrics = recorder_of(MemoryLedger())
    seen: list[float | None] = []

    async def away_at_first() -> None:
        seen.append(sessions(metrics))
        if len(seen) == 1:
            raise RecordUnavailable("away", next_step="wait")

    await recorder.patiently(away_at_first)
    assert seen == [None, 0]
    assert sessions(metrics) == 0
