"""Which partitions a consensus process decides, and what a running one tells of itself."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from adapters.processes.run_file import find_process
from consensus.decisions import STREAMS
from consensus.service import PROCESS, ConsensusService, owned
from domain.errors import ConfigurationError
from domain.settings import Settings, load_settings
from domain.streams import Stream
from tests.builders import AGENTS, proposal, votes
from tests.sealing import open_bus_for_everyone

#: A round that executes, one that rejects, and one in which the votes are too far apart.
ROUNDS = {"high": (80, 80, 80, 80), "low": (50, 50, 50, 50), "apart": (100, 60, 80, 80)}
SILENCE = 0.02


class Shown(NamedTuple):
    """What ``/metrics`` has to tell, and the samples that tell it after `ROUNDS`."""

    words: str
    sample: str
    values: dict[tuple[str, ...], float]
    """Value by the labels' values, in the order of the labels' names."""


def each_stream(value: float) -> dict[tuple[str, ...], float]:
    return {(PROCESS, str(stream)): value for stream in STREAMS}


ONCE = float(len(ROUNDS))
SHOWN = (
    Shown("queue depth per stream", "quorum_stream_depth_messages", each_stream(0)),
    Shown("lag per stream", "quorum_stream_lag_messages", each_stream(0)),
    Shown("pending", "quorum_stream_pending_messages", each_stream(0)),
    Shown("decision latency histogram", "quorum_decision_seconds_count", {(): ONCE}),
    Shown(
        "decisions by outcome and reason",
        "quorum_decisions_total",
        {
            ("EXECUTE", "consensus"): 1,
            ("REJECT", "below_threshold"): 1,
            ("MANUAL_REVIEW", "disagreement"): 1,
        },
    ),
    Shown(
        "agreement rate",
        "quorum_votes_decided_total",
        {(agent, "yes"): 2 for agent in AGENTS},
    ),
    Shown("breaker state", "quorum_breaker_state", {(agent, "0"): 0 for agent in AGENTS}),
    # The third decision opens its review in the same transaction.
    Shown("commit batch size", "quorum_commit_batch_events_sum", {(): ONCE + 1}),
    Shown(
        "connections: a session a lease, no pool", "quorum_ledger_sessions", {("decisions", "0"): 1}
    ),
)


def of(partitions: int, *own: int, **fields) -> Settings:
    settings = Settings(partitions=partitions, **fields)
    consensus = settings.consensus.model_copy(update={"own_partitions": own})
    return settings.model_copy(update={"consensus": consensus})


def test_it_decides_all_partitions_or_those_that_it_is_told():
    assert list(owned(of(3))) == [0, 1, 2]
    assert list(owned(of(3, 2, 0, 2))) == [0, 2]
    with pytest.raises(ConfigurationError, match="no partition 3: there are 3"):
        owned(of(3, 3))


def test_it_is_not_ready_while_one_of_its_own_is_not(tmp_path):
    problems = ConsensusService(of(3, 1, home=tmp_path)).problems()
    assert [problem.partition(":")[0] for problem in problems] == ["partition 1"]


@pytest.fixture
async def running(servers, ledger_url, tmp_path, monkeypatch) -> AsyncIterator[httpx.AsyncClient]:
    """A consensus process on real servers, and a client of its health."""
    with redis.from_url(servers.bus_url) as client:
        client.flushall()
    for name, value in {
        "HOME": str(tmp_path),
        "BUS_URL": servers.bus_url,
        "LEDGER_URL": ledger_url,
        "CLOCK": "event",
        "PARTITIONS": "1",
    }.items():
        monkeypatch.setenv(f"QUORUM_{name}", value)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "consensus.service")
    try:
        while (found := find_process(tmp_path, PROCESS)) is None or found.pid != process.pid:
            assert process.returncode is None, "the process ended"
            await asyncio.sleep(SILENCE)
        async with httpx.AsyncClient(base_url=found.url) as client:
            yield client
            assert process.returncode is None, "the process ended"
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0


async def samples(client: httpx.AsyncClient) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the value of every sample that is shown, by name and the labels' values."""
    shown: dict[str, dict[tuple[str, ...], float]] = {}
    page = await client.get("/metrics")
    for family in text_string_to_metric_families(page.text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in sorted(sample.labels))
            shown.setdefault(sample.name, {})[labels] = sample.value
    return shown


async def test_a_running_process_shows_all_that_its_health_is_judged_by(running: httpx.AsyncClient):
    assert (await running.get("/livez")).json() == {"alive": True}
    while (ready := await running.get("/readyz")).status_code != httpx.codes.OK:
        assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert ready.json()["problems"]
        await asyncio.sleep(SILENCE)
    assert ready.json()["problems"] == []

    bus = open_bus_for_everyone(load_settings())
    for name, scores in ROUNDS.items():
        await bus.publish(Stream.PROPOSALS, 0, proposal(name))
        for vote in votes(name, scores):
            await bus.publish(Stream.VOTES, 0, vote)
    await bus.close()

    def missing(shown: dict[str, dict[tuple[str, ...], float]]) -> list[str]:
        return [
            f"{each.words}: {each.sample} is {shown.get(each.sample)}, not {each.values}"
            for each in SHOWN
            if shown.get(each.sample) != each.values
        ]

    def settled(shown: dict[str, dict[tuple[str, ...], float]]) -> bool:
        # The streams are looked at once a second: what they held before is shown a while.
        decided = sum(shown.get("quorum_decisions_total", {}).values())
        return decided == ONCE and not any(shown.get("quorum_stream_lag_messages", {}).values())

    while not settled(shown := await samples(running)):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(SILENCE)
    assert missing(shown) == []
    stages = {stage for _, stage in shown["quorum_stage_seconds_count"]}
    assert stages == {"handle", "commit", "publish"}, "decision latency by stage"
    assert {bound for _, bound, _ in shown["quorum_stage_seconds_bucket"]} >= {"0.001", "+Inf"}
