"""What one core decides, without bus and record: votes, rounds, and decisions made again.

The limit beside each figure is `msgspec` decoding the same bytes into dictionaries, which checks
nothing and keeps nothing.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from adapters.ledger.memory import MemoryLedger
from benchmarks.measure import Row, alternately, median, run
from consensus.engine import Engine
from consensus.replay import Interval, replay
from consensus.rule import calculate_consensus
from domain.messages import Message, decode, encode
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, Ignored, Log
from domain.streams import Stream
from domain.voting import Vote
from tests.builders import AGENTS, proposal, vote

_ROUNDS = 5_000
_REPEATS = 7
_PLAIN = msgspec.json.Decoder(dict[str, object])
#: As many measures as a risk manager sends, and a rationale of its length.
_MEASURES = {
    "bound": Decimal("0.031415926"),
    "drawdown": Decimal("0.05"),
    "exposure": Decimal("0.25"),
    "value_at_risk": Decimal("0.012345678"),
}
_RATIONALE = "1-day 99 % value at risk after the trade is 1.2 % of equity, of 4 % allowed. " * 2

Item = TypeVar("Item")


def measure() -> list[Row]:
    short = [[encode(each) for each in cast] for cast in _rounds()]
    full = [
        [encode(replace(v, risk_assessment=_MEASURES, rationale=_RATIONALE)) for v in cast]
        for cast in _rounds()
    ]
    return [
        _row("votes decoded, validated, tallied", short, _tally),
        _row("the same, with four measures and a rationale of 150 characters", full, _tally),
        _row("votes decoded and taken through the engine to its decisions", short, _engine),
        *_replayed(full),
    ]


def _rounds() -> list[list[Vote]]:
    """Four votes a round, all different, so that nothing is found in a cache."""
    chance = random.Random(7)
    return [
        [
            vote(
                f"throughput-{number}",
                agent,
                score=chance.randint(70, 85),
                ppm=chance.randint(400_000, 900_000),
                seconds=chance.random(),
            )
            for agent in AGENTS
        ]
        for number in range(_ROUNDS)
    ]


def _tally(rounds: Sequence[Sequence[bytes]]) -> float:
    began = time.process_time()
    for cast in rounds:
        calculate_consensus([decode(data, Vote) for data in cast])  # type: ignore[arg-type] - votes
    return time.process_time() - began


def _engine(rounds: Sequence[Sequence[bytes]]) -> float:
    engine = Engine()
    for number in range(len(rounds)):
        engine.apply(proposal(f"throughput-{number}"))
    began = time.process_time()
    for cast in rounds:
        for data in cast:
            engine.apply(decode(data, Vote))
    return time.process_time() - began


def _row(
    figure: str,
    rounds: Sequence[Sequence[bytes]],
    measured: Callable[[Sequence[Sequence[bytes]]], float],
) -> Row:
    votes = [data for cast in rounds for data in cast]
    found = alternately(
        {
            "ours": lambda: len(votes) / measured(rounds),
            "limit": lambda: len(votes) / _decoded(votes),
        },
        rounds=_REPEATS,
    )
    return Row(
        figure=figure,
        unit="votes/s a core",
        ours=median(found["ours"]),
        beside="msgspec decoding them into dictionaries",
        theirs=median(found["limit"]),
    )


def _decoded(data: Sequence[bytes]) -> float:
    began = time.process_time()
    for each in data:
        _PLAIN.decode(each)
    return time.process_time() - began


def _replayed(rounds: Sequence[Sequence[bytes]]) -> list[Row]:
    """Return the rows of a log made again, from its decisions and from its journal."""
    ledger = asyncio.run(_recorded(rounds))
    stored = [e.data for e in asyncio.run(ledger.events(Log.DECISIONS, 0, limit=10**6))]

    def again(*, content: bool) -> float:
        began = time.process_time()
        found = asyncio.run(replay(ledger, 0, Interval(), content=content))
        if found.events != len(stored) or found.divergences:
            raise AssertionError("a replay under the same code finds what is recorded")
        return len(stored) / (time.process_time() - began)

    found = alternately(
        {
            "content": lambda: again(content=True),
            "inputs": lambda: again(content=False),
            "limit": lambda: len(stored) / _decoded(stored),
        },
        rounds=_REPEATS,
    )
    return [
        Row(
            figure=figure,
            unit="decisions/s a core",
            ours=median(found[method]),
            beside="msgspec decoding the decisions into dictionaries",
            theirs=median(found["limit"]),
        )
        for figure, method in (
            ("a log decided again from its decisions", "content"),
            ("a log decided again from its journal, byte for byte", "inputs"),
        )
    ]


async def _recorded(rounds: Sequence[Sequence[bytes]]) -> MemoryLedger:
    ledger, engine = MemoryLedger(), Engine()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    messages: list[Message] = []
    for number, cast in enumerate(rounds):
        messages += [proposal(f"throughput-{number}"), *map(decode, cast)]
    events = [
        event
        for message in messages
        for event in engine.apply(message)
        if not isinstance(event, Ignored)
    ]
    inputs = [
        Delivery(stream=Stream.VOTES, partition=0, position="1-1", data=encode(message))
        for message in messages
    ]
    commit = Commit(expected_sequence=0, inputs=tuple(inputs), events=tuple(events))
    await ledger.commit(lease, commit)
    return ledger


if __name__ == "__main__":
    run(measure)
