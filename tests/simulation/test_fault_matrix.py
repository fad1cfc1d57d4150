"""Agents that fail in four ways, one to four of them, servers well or down: one outcome a cell.

What an agent fails to say is not counted, whatever the servers do, and the table of degraded
participation decides. An outage makes nobody worse: what was there to be read when the servers
came back is judged as if it had come in time, so slow agents are heard.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import product
from random import Random

import pytest

from adapters.bus.memory import MemoryBroker, MemoryBus
from adapters.ledger.memory import MemoryLedger
from consensus.decisions import STREAMS, DecisionHandler
from consensus.processor import Processor
from consensus.retries import keep_running
from domain.errors import EnvironmentProblem, RecordUnavailable
from domain.messages import encode
from domain.ports.ledger import Log
from domain.rules import Rules
from domain.streams import Stream
from domain.voting import AgentId, ConsensusResult, Outcome, Vote
from tests.builders import proposal, tick, vote
from tests.simulation import virtual_time
from tests.simulation.faults import FaultRates, Process
from tests.simulation.world import NoMetrics

#: Who fails first, second …: the Risk Manager is the third.
FAILING = (
    AgentId.EXECUTION,
    AgentId.PORTFOLIO_OPTIMIZER,
    AgentId.RISK_MANAGER,
    AgentId.MARKET_ANALYST,
)
WAYS = ("dead", "slow", "garbage", "stale")
SERVERS = ("well", "bus down", "record down")
EXECUTED = (Outcome.EXECUTE, "consensus", 4)
BY_THE_TABLE = {
    1: (Outcome.EXECUTE, "consensus", 3),
    2: (Outcome.MANUAL_REVIEW, "degraded", 2),
    3: (Outcome.REJECT, "no_quorum", 1),
    4: (Outcome.REJECT, "no_quorum", 0),
}
MATRIX = {
    (way, number, servers): (
        EXECUTED if way == "slow" and servers != "well" else BY_THE_TABLE[number]
    )
    for way, number, servers in product(WAYS, BY_THE_TABLE, SERVERS)
}
_PROMPT, _SLOW = 0.8, 3.2
_OUTAGE = (0.5, 5.2)
_TICKS = tuple(number / 2 for number in range(1, 20))


@pytest.mark.parametrize("cell", MATRIX, ids=lambda cell: " ".join(map(str, cell)))
def test_one_outcome_a_cell(cell):
    way, number, servers = cell
    decision = virtual_time.run(decide(way, FAILING[:number], servers))
    assert (decision.outcome, decision.reason, decision.participation) == MATRIX[cell]
    assert decision.degraded == (decision.participation < 4)


async def decide(way: str, failing: tuple[AgentId, ...], servers: str) -> ConsensusResult:
    """Return what becomes of one proposal."""
    broker, ledger, stop = MemoryBroker(), MemoryLedger(), asyncio.Event()
    process = Process("consensus", Random(0), FaultRates, lambda _: None)

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Processor]:
        yield Processor(
            process.bus(MemoryBus(broker)),
            process.ledger(ledger),
            DecisionHandler(Rules(), NoMetrics()),
            NoMetrics(),
            group="consensus",
            sources=[(stream, 0) for stream in STREAMS],
            last=[Stream.TIME],
            ahead=True,
        )

    async def say(moment: float, stream: Stream, data: bytes) -> None:
        if servers == "bus down" and _OUTAGE[0] <= moment < _OUTAGE[1]:
            moment = _OUTAGE[1]  # who speaks waits for the bus
        await asyncio.sleep(moment)
        await MemoryBus(broker).publish_raw(stream, 0, data)

    async def fail() -> None:
        await asyncio.sleep(_OUTAGE[0])
        problem = {"bus down": EnvironmentProblem, "record down": RecordUnavailable}.get(servers)
        if problem is not None:
            process.cut_off(problem, _OUTAGE[1] - _OUTAGE[0])

    said = [say(0, Stream.PROPOSALS, encode(proposal()))]
    for agent in AgentId:
        said += [say(*spoken) for spoken in votes(agent, way if agent in failing else "well")]
    said += [say(moment, Stream.TIME, encode(tick(moment))) for moment in _TICKS]
    running = asyncio.ensure_future(keep_running(opened, stop))
    await asyncio.gather(*said, fail())
    stop.set()
    await running
    messages = [entry.message for entry in await ledger.events(Log.DECISIONS, 0)]
    (event,) = [message for message in messages if isinstance(message, ConsensusResult)]
    return event


def votes(agent: AgentId, way: str) -> list[tuple[float, Stream, bytes]]:
    """Return what an agent says, and when."""
    prompt: Vote = vote(agent=agent, seconds=_PROMPT)
    match way:
        case "dead":
            return []
        case "slow":
            return [(_SLOW, Stream.VOTES, encode(vote(agent=agent, seconds=_SLOW)))]
        case "garbage":
            return [(_PROMPT, Stream.VOTES, encode(prompt).replace(b'"score":80', b'"score":101'))]
        case "stale":
            return [(_PROMPT, Stream.VOTES, encode(vote(agent=agent, seconds=-40)))]
        case _:
            return [(_PROMPT, Stream.VOTES, encode(prompt))]
