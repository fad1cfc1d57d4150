"""What the simulated world is told, all from a seed: proposals, votes, bars, rubbish."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import Message, encode
from domain.streams import Stream, partition_of
from domain.voting import Action, AgentId, TradingProposal, Vote
from tests.builders import at, proposal, verdict, vote

SYMBOLS = ("AAPL", "IBM", "KO")
LAST_PROPOSAL_SECONDS = 8.0
END_SECONDS = 14.0

#: Score profiles: the second has a weighted score of exactly 75 and a variance of exactly 40.
_SCORES = (
    (80, 82, 85, 90),
    (67, 71, 79, 83),
    (66, 71, 79, 84),
    (74, 75, 75, 75),
    (75, 75, 75, 75),
    (20, 40, 80, 95),
    (40, 42, 45, 47),
)
_RUBBISH = (b"", b"{", b"\xff\xfe", b'{"type":"Vote","schema_version":1}', b"[" * 2000)


@dataclass(frozen=True)
class Sent:
    """Bytes that reach the bus at a moment (seconds since the start)."""

    moment: float
    stream: Stream
    partition: int
    data: bytes


def messages(random: Random, partitions: int) -> list[Sent]:
    """Return all that is sent in one run, by moment."""
    sent: list[Sent] = []
    skews = {agent: random.gauss(0, 0.3) for agent in AgentId}
    if random.random() < 0.1:
        skews[random.choice(list(AgentId))] = random.choice((-40.0, 40.0))
    for number in range(random.randint(6, 14)):
        made = _proposal(random, number)
        sent += _delivered(random, Stream.PROPOSALS, made, made.symbol, partitions)
        for cast in _votes(random, made, number, skews):
            sent += _delivered(random, Stream.VOTES, cast, made.symbol, partitions)
        for answer in _answers(random, made):
            sent += _delivered(random, Stream.REVIEWS, answer, made.symbol, partitions)
    sent += _bars(random, partitions)
    sent += _rubbish(random, partitions)
    return sorted(sent, key=lambda s: (s.moment, s.stream, s.partition, s.data))


def _proposal(random: Random, number: int) -> TradingProposal:
    action = random.choices(list(Action), weights=(5, 3, 1))[0]
    return proposal(
        f"p{number}",
        symbol=random.choice(SYMBOLS),
        seconds=round(random.uniform(0, LAST_PROPOSAL_SECONDS), 3),
        action=action,
    )


def _votes(
    random: Random, made: TradingProposal, number: int, skews: dict[AgentId, float]
) -> Iterator[Vote]:
    scores = random.choice(_SCORES)
    started = (made.occurred_at - at(0)).total_seconds()
    for agent, score in zip(AgentId, random.sample(scores, 4), strict=True):
        if random.random() < 0.08:
            continue  # it is dead
        seconds = started + skews[agent] + random.expovariate(2.5)
        cast = vote(
            f"p{number}",
            agent,
            score=score,
            ppm=random.choice((500_000, 500_000, 500_000, 0, 1_000_000)),
            seconds=round(seconds, 3),
            symbol=made.symbol if random.random() < 0.98 else "OTHER",
            veto="var" if random.random() < 0.03 else "",
            abstention="model too old" if random.random() < 0.05 else "",
        )
        yield cast
        if random.random() < 0.1:  # it thinks again; the later moment wins, whatever comes first
            yield replace(
                cast,
                message_id=derive_id("vote", agent, number, "again"),
                occurred_at=cast.occurred_at + timedelta(seconds=random.choice((-0.1, 0.0, 0.1))),
                score=random.choice(scores),
            )
    if random.random() < 0.05:
        yield vote(f"p{number}", "stranger", seconds=started, symbol=made.symbol)


def _answers(random: Random, made: TradingProposal) -> Iterator[Message]:
    if random.random() < 0.4:
        started = (made.occurred_at - at(0)).total_seconds()
        for _ in range(random.randint(1, 3)):
            yield verdict(
                derive_id("decision", made.proposal_id),
                actor=random.choice(("ada", "grace")),
                approved=random.random() < 0.6,
                price=random.choice(("100", "109", "120")),
                seconds=round(started + random.uniform(1, 6), 3),
            )


def _bars(random: Random, partitions: int) -> Iterator[Sent]:
    for symbol in SYMBOLS:
        for number in range(4):
            moment = number * 3.0 + random.random()
            message_id = derive_id("bar", symbol, number)
            price = Decimal(random.randint(97, 103))
            bar = MarketData(
                message_id=message_id,
                correlation_id=message_id,
                occurred_at=at(round(moment, 3)),
                symbol=symbol,
                observed_at=at(round(moment, 3)),
                price=price,
                volume=Decimal(10_000),
                open=price,
                high=price,
                low=price,
            )
            yield from _delivered(random, Stream.MARKET, bar, symbol, partitions)


def _rubbish(random: Random, partitions: int) -> Iterator[Sent]:
    streams = (Stream.PROPOSALS, Stream.VOTES, Stream.REVIEWS, Stream.TIME, Stream.MARKET)
    for _ in range(random.choice((0, 0, 1, 3))):
        partition = random.randrange(partitions)
        moment = random.uniform(0, END_SECONDS)
        yield Sent(moment, random.choice(streams), partition, random.choice(_RUBBISH))
    if random.random() < 0.1:  # a valid message where none of its kind belongs
        misled = _proposal(random, 99)
        yield Sent(random.uniform(0, END_SECONDS), Stream.MARKET, 0, encode(misled))


def _delivered(
    random: Random, stream: Stream, message: Message, symbol: str, partitions: int
) -> Iterable[Sent]:
    """Return when a message reaches the bus: late, lost and sent again, or twice."""
    moment = max(0.0, (message.occurred_at - at(0)).total_seconds())
    moment = min(moment, END_SECONDS) + random.expovariate(20)
    if random.random() < 0.08:  # its first sending was lost
        moment += random.uniform(0.1, 4)
    partition, data = partition_of(symbol, partitions), encode(message)
    yield Sent(moment, stream, partition, data)
    if random.random() < 0.06:
        yield Sent(moment + random.uniform(0, 3), stream, partition, data)
