"""Who puts messages on the bus, and which of them may say what.

One table: seals are checked by it, and the bus's access lists are made from it.
"""

from collections.abc import Mapping
from enum import StrEnum

from domain.streams import Stream
from domain.voting import AgentId


class Producer(StrEnum):
    """A process's role on the bus."""

    FEED = "feed"
    MARKET_ANALYST = AgentId.MARKET_ANALYST.value
    RISK_MANAGER = AgentId.RISK_MANAGER.value
    PORTFOLIO_OPTIMIZER = AgentId.PORTFOLIO_OPTIMIZER.value
    EXECUTION = AgentId.EXECUTION.value
    CONSENSUS = "consensus"
    GATEWAY = "gateway"
    PROJECTIONS = "projections"
    """Keeps the cache of last values; it neither speaks nor listens on a stream."""
    OPERATOR = "operator"
    """A person's commands: answers to reviews, the trading state, dead letters put back."""


AGENTS = frozenset(Producer(agent) for agent in AgentId)

_AGENT_READS = frozenset(
    {Stream.MARKET, Stream.NEWS, Stream.PORTFOLIO, Stream.PROPOSALS, Stream.EXPERIENCES}
)
_AGENT_WRITES = frozenset({Stream.VOTES, Stream.DEAD_LETTERS})
_ALL = frozenset(Stream)

#: Streams that each may add to.
WRITES: Mapping[Producer, frozenset[Stream]] = {
    Producer.FEED: frozenset({Stream.MARKET, Stream.NEWS, Stream.TIME}),
    **dict.fromkeys(AGENTS, _AGENT_WRITES),
    Producer.MARKET_ANALYST: _AGENT_WRITES | {Stream.PROPOSALS},
    Producer.CONSENSUS: frozenset({Stream.DECISIONS, Stream.TIME, Stream.DEAD_LETTERS}),
    Producer.GATEWAY: frozenset(
        {
            Stream.ORDERS,
            Stream.EXECUTIONS,
            Stream.PORTFOLIO,
            Stream.EXPERIENCES,
            Stream.DEAD_LETTERS,
        }
    ),
    Producer.PROJECTIONS: frozenset(),
    Producer.OPERATOR: _ALL,
}

#: Streams that each consumes or reads.
READS: Mapping[Producer, frozenset[Stream]] = {
    Producer.FEED: _ALL,  # it waits for every stage to finish a bar
    **dict.fromkeys(AGENTS, _AGENT_READS),
    Producer.CONSENSUS: frozenset(
        {Stream.PROPOSALS, Stream.VOTES, Stream.REVIEWS, Stream.TIME, Stream.DEAD_LETTERS}
    ),
    Producer.GATEWAY: frozenset({Stream.MARKET, Stream.DECISIONS, Stream.TRADING_STATE}),
    Producer.PROJECTIONS: frozenset(),
    Producer.OPERATOR: _ALL,
}

#: Streams that each keeps short, once every group has finished with them.
TRIMS: Mapping[Producer, frozenset[Stream]] = {
    Producer.CONSENSUS: READS[Producer.CONSENSUS],
    Producer.GATEWAY: READS[Producer.GATEWAY] | WRITES[Producer.GATEWAY] | {Stream.NEWS},
}

#: What comes from outside and bears no seal; the bus's access lists say who adds it.
UNSEALED = frozenset({"MarketData", "NewsItem"})

#: Who may say what else, by the message's type: nobody what is not here. A vote is its agent's.
SPEAKERS: Mapping[str, frozenset[Producer]] = {
    "FeedChanged": frozenset({Producer.FEED}),
    "TradingProposal": frozenset({Producer.MARKET_ANALYST}),
    "Vote": AGENTS,
    "Tick": frozenset({Producer.CONSENSUS, Producer.FEED}),
    "ReviewVerdict": frozenset({Producer.OPERATOR}),
    "ConsensusResult": frozenset({Producer.CONSENSUS}),
    "TradingStateRequested": frozenset({Producer.OPERATOR}),
}
