"""Four agents in one process: the real stream worker, and votes without a model.

``python -m tests.faults.voter``; killed and started again it answers what it left unanswered.
"""

import asyncio
from functools import partial

from adapters.bus import open_bus
from adapters.keys import sealing
from adapters.metrics import PrometheusMetrics
from domain.identity import derive_id
from domain.messages import Message
from domain.ports.bus import MessageBus
from domain.producers import Producer
from domain.settings import Settings, load_settings
from domain.streams import Stream, partition_of
from domain.voting import AgentId, TradingProposal, Vote
from serving.stream_worker import StreamWorker

#: Where this agent disagrees, a person has to decide.
_DISSENTER, _DISSENT = AgentId.RISK_MANAGER, 50


async def vote(bus: MessageBus, partitions: int, agent: AgentId, message: Message) -> None:
    """Answer a proposal; the same one always alike."""
    assert isinstance(message, TradingProposal)
    number = int(message.message_id[:8], 16)
    answer = Vote(
        message_id=derive_id("vote", agent, message.proposal_id),
        correlation_id=message.correlation_id,
        causation_id=message.proposal_id,
        occurred_at=message.occurred_at,
        agent_id=agent,
        proposal_id=message.proposal_id,
        symbol=message.symbol,
        score=_DISSENT if agent is _DISSENTER and number % 6 == 0 else 72 + number % 8,
        confidence_ppm=500_000,
        rationale="measured",
        model_version=f"{agent}@1:00000000",
    )
    await bus.publish(Stream.VOTES, partition_of(message.symbol, partitions), answer)


async def answer(agent: AgentId, settings: Settings) -> None:
    """Be one agent."""
    bus = open_bus(settings, encode=sealing(settings, Producer(agent)))
    sources = [(Stream.PROPOSALS, partition) for partition in range(settings.partitions)]
    await StreamWorker(bus, PrometheusMetrics()).consume(
        f"agent.{agent}", agent, sources, partial(vote, bus, settings.partitions, agent)
    )


async def main() -> None:
    """Vote until killed."""
    settings = load_settings()
    await asyncio.gather(*(answer(agent, settings) for agent in AgentId))


if __name__ == "__main__":
    asyncio.run(main())
