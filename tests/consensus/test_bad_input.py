"""Everything that may arrive and must have no effect, through the real process on real servers."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
import pytest
import redis
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from adapters.bus import open_bus
from adapters.embedded import Endpoints
from adapters.keys import KeyFolder
from adapters.ledger import PostgresLedger, migrate
from adapters.ledger.dead_letters import DeadLetters
from adapters.processes.run_file import RunFile, find_process
from domain.identity import derive_id
from domain.messages import Message, encode
from domain.ports.ledger import Log
from domain.producers import Producer
from domain.refusals import Refusal
from domain.rules import Rules, RulesChanged
from domain.seals import seal
from domain.settings import Settings
from domain.streams import Stream, partition_of
from domain.voting import AgentId, ConsensusResult, Outcome, Thresholds, Vote
from tests.builders import AGENTS, proposal, tick, vote, votes

PARTITIONS = 2
SYMBOLS = {partition_of(symbol, PARTITIONS): symbol for symbol in ("IBM", "KO", "AAPL", "MSFT")}
ANALYST, RISK = Producer.MARKET_ANALYST, Producer.RISK_MANAGER
NOW = datetime.now(UTC)


class Case(NamedTuple):
    """What arrives, who sealed it, and why it is refused."""

    name: str
    change: Callable[[bytes], bytes]
    reason: Refusal
    stream: Stream = Stream.VOTES
    sealer: Producer | None = ANALYST


def put(old: str, new: str | bytes) -> Callable[[bytes], bytes]:
    """Return what replaces the first occurrence of a text."""

    def change(data: bytes) -> bytes:
        assert old.encode() in data, old
        return data.replace(old.encode(), new.encode() if isinstance(new, str) else new, 1)

    return change


def value(field: str, new: str | bytes) -> Callable[[bytes], bytes]:
    return put(f'"{field}":{BAD_SCORE if field == "score" else 999_999}', _field(field, new))


def _field(field: str, new: str | bytes) -> bytes:
    return f'"{field}":'.encode() + (new.encode() if isinstance(new, str) else new)


def moment(when: str) -> Callable[[bytes], bytes]:
    return put(encode_time(NOW), when)


def encode_time(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def moved(data: bytes) -> bytes:
    """Name a symbol of the other partition."""
    here = symbol_in(data)
    (other,) = set(SYMBOLS.values()) - {here}
    return put(f'"symbol":"{here}"', f'"symbol":"{other}"')(data)


BAD_SCORE = 99
NESTED = b"[" * 50_000 + b"]" * 50_000
FAR = NOW + timedelta(days=400)
PAST = NOW - timedelta(days=400)

CASES = [
    Case("NaN", value("score", "NaN"), Refusal.MALFORMED),
    Case("Infinity", value("score", "Infinity"), Refusal.MALFORMED),
    Case("-Infinity", value("score", "-Infinity"), Refusal.MALFORMED),
    Case("score 101", value("score", "101"), Refusal.OUT_OF_RANGE),
    Case("score -1", value("score", "-1"), Refusal.OUT_OF_RANGE),
    Case("score 80.5", value("score", "80.5"), Refusal.WRONG_TYPE),
    Case("score 8e1", value("score", "8e1"), Refusal.WRONG_TYPE),
    Case("score 10^30", value("score", "1" + "0" * 30), Refusal.OUT_OF_RANGE),
    Case("score 10^5000", value("score", "1" + "0" * 5000), Refusal.OUT_OF_RANGE),
    Case("score as text", value("score", '"99"'), Refusal.WRONG_TYPE),
    Case("score true", value("score", "true"), Refusal.WRONG_TYPE),
    Case("score null", value("score", "null"), Refusal.WRONG_TYPE),
    Case("confidence 1.0000001", value("confidence_ppm", "1000000.1"), Refusal.WRONG_TYPE),
    Case("confidence 1000001", value("confidence_ppm", "1000001"), Refusal.OUT_OF_RANGE),
    Case("confidence -1", value("confidence_ppm", "-1"), Refusal.OUT_OF_RANGE),
    Case("no score", put(f'"score":{BAD_SCORE},', ""), Refusal.MISSING_FIELD),
    Case("unknown field", put('"symbol"', '"stamp":1,"symbol"'), Refusal.UNKNOWN_FIELD),
    Case("field twice", put('"score":', '"score":1,"score":'), Refusal.DUPLICATE_FIELD),
    Case("unknown type", put('"Vote"', '"Ballot"'), Refusal.UNKNOWN_TYPE),
    Case("a type that is none", put('"Vote"', "[1]"), Refusal.WRONG_TYPE),
    Case("later version", put('"schema_version":1', '"schema_version":7'), Refusal.UNKNOWN_VERSION),
    Case("bad symbol", put('"symbol":"', '"symbol":"' + "A" * 40), Refusal.OUT_OF_RANGE),
    Case("figure NaN", put("{}", '{"bound":"NaN"}'), Refusal.OUT_OF_RANGE),
    Case("figure 1e9999999", put("{}", '{"bound":"1e9999999"}'), Refusal.OUT_OF_RANGE),
    Case("long id", put('"message_id":"', '"message_id":"' + "i" * 3000), Refusal.OUT_OF_RANGE),
    Case("no time zone", put("Z", ""), Refusal.OUT_OF_RANGE),
    Case("year 9999", moment("9999-12-31T23:59:59Z"), Refusal.OUT_OF_RANGE),
    Case("year 1 less", moment("0001-01-01T00:00:00+10:00"), Refusal.OUT_OF_RANGE),
    Case("no such day", moment("2013-02-30T00:00:00Z"), Refusal.OUT_OF_RANGE),
    Case("far future", moment(encode_time(FAR)), Refusal.FROM_THE_FUTURE),
    Case("far past", moment(encode_time(PAST)), Refusal.FROM_THE_PAST),
    Case("10 MB", put("measured", "x" * 10_000_000), Refusal.TOO_LONG),
    Case("nested where unknown", put('"type"', b'"a":' + NESTED + b',"type"'), Refusal.TOO_DEEP),
    Case("nothing but nesting", lambda _: NESTED, Refusal.WRONG_TYPE),
    Case("UTF-8 cut short", put("measured", b"\xc3"), Refusal.NOT_UTF8),
    Case("UTF-8 overlong", put("measured", b"\xc0\xaf"), Refusal.NOT_UTF8),
    Case("UTF-16", lambda data: data.decode().encode("utf-16"), Refusal.MALFORMED),
    Case("half a surrogate pair", put("measured", r"\ud800"), Refusal.MALFORMED),
    Case("surrogate in UTF-8", put("measured", b"\xed\xa0\x80"), Refusal.NOT_UTF8),
    Case("byte order mark", lambda data: b"\xef\xbb\xbf" + data, Refusal.MALFORMED),
    Case("trailing bytes", lambda data: data + b"x", Refusal.MALFORMED),
    Case("trailing NUL", lambda data: data + b"\0", Refusal.MALFORMED),
    Case("two messages", lambda data: data + data, Refusal.MALFORMED),
    Case("raw NUL", put("measured", b"\0"), Refusal.MALFORMED),
    Case("escaped NUL", put("measured", r"\u0000"), Refusal.NUL_CHARACTER),
    Case("spaces", put('"score":', '"score": '), Refusal.NOT_CANONICAL),
    Case("cut short", lambda data: data[:-40], Refusal.MALFORMED),
    Case("nothing", lambda _: b"", Refusal.MALFORMED, sealer=None),
    Case("no seal", lambda data: data, Refusal.FORGED_VOTE, sealer=None),
    Case("another agent's seal", lambda data: data, Refusal.FORGED_VOTE, sealer=RISK),
    Case("a seal of no key", lambda data: seal(data, b"x" * 32), Refusal.FORGED_VOTE, sealer=None),
    Case("a stranger", put('"market_analyst"', '"oracle"'), Refusal.UNKNOWN_AGENT),
    Case(
        "a proposal by another agent",
        lambda data: encode(replace(proposal("forged", symbol=symbol_in(data)), occurred_at=NOW)),
        Refusal.FORGED_MESSAGE,
        stream=Stream.PROPOSALS,
        sealer=RISK,
    ),
    Case(
        "time told by an agent",
        lambda _: encode(replace(tick(0), occurred_at=NOW)),
        Refusal.FORGED_MESSAGE,
        stream=Stream.TIME,
    ),
    Case(
        "rules changed by an agent",
        lambda _: encode(
            RulesChanged(
                message_id="r",
                correlation_id="r",
                occurred_at=NOW,
                before=Rules(),
                after=Rules(thresholds=Thresholds(execute_at_weighted_score=Decimal(0))),
                actor="market_analyst",
            )
        ),
        Refusal.FORGED_MESSAGE,
    ),
    Case("another partition's", moved, Refusal.WRONG_PARTITION),
    Case("answers to nothing", lambda _: b"[]", Refusal.WRONG_TYPE, stream=Stream.REVIEWS),
]


def symbol_in(data: bytes) -> str:
    return next(s for s in SYMBOLS.values() if f'"symbol":"{s}"'.encode() in data)


def the_vote(name: str, symbol: str) -> bytes:
    """A vote for executing that would be counted if it were let in."""
    cast = vote(
        f"honest {symbol}", ANALYST.value, score=BAD_SCORE, ppm=999_999, symbol=symbol, version=name
    )
    return encode(replace(cast, occurred_at=NOW))


def test_the_symbols_are_one_a_partition():
    assert sorted(SYMBOLS) == list(range(PARTITIONS))


def honest(name: str, symbol: str, score: int) -> list[tuple[Stream, Message]]:
    cast: list[Vote] = votes(name, (score,) * len(AGENTS), symbol=symbol)
    proposed = replace(proposal(name, symbol=symbol), occurred_at=NOW)
    return [
        (Stream.PROPOSALS, proposed),
        *((Stream.VOTES, replace(each, occurred_at=NOW)) for each in cast),
    ]


class Plane:
    """The process under test, its bus and its record."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._keys = KeyFolder.of(settings)

    def sealed(self, message: Message) -> bytes:
        right = Producer(message.agent_id) if isinstance(message, Vote) else ANALYST
        return seal(encode(message), self._keys.own(right))

    def arriving(self, case: Case, symbol: str) -> bytes:
        data = case.change(the_vote(case.name, symbol))
        return data if case.sealer is None else seal(data, self._keys.own(case.sealer))

    def send(self, *items: tuple[Stream, int, bytes]) -> None:
        async def send() -> None:
            bus = open_bus(self.settings)
            for stream, partition, data in items:
                await bus.publish_raw(stream, partition, data)
            await bus.close()

        asyncio.run(send())

    def decisions(self) -> list[ConsensusResult]:
        async def read() -> list[ConsensusResult]:
            ledger = PostgresLedger(self.settings.ledger_url.get_secret_value())
            events = [
                e.message for p in range(PARTITIONS) for e in await ledger.events(Log.DECISIONS, p)
            ]
            await ledger.close()
            return [event for event in events if isinstance(event, ConsensusResult)]

        return asyncio.run(read())


@contextmanager
def consensus(settings: Settings, environment: dict[str, str]) -> Iterator[RunFile]:
    log = settings.home / "consensus.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "consensus.service"],
            env=os.environ | environment | {"PYTHONPATH": ":".join(sys.path)},
            stderr=errors,
        )
    try:
        while (found := find_process(settings.home, "consensus")) is None or not httpx.get(
            f"{found.url}/readyz"
        ).is_success:
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield found
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def counted(process: RunFile, name: str, label: str) -> dict[str, float]:
    """Return a counter's samples, summed by one label."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(httpx.get(f"{process.url}/metrics").text):
        for sample in family.samples:
            if sample.name == name:
                key = sample.labels[label]
                sums[key] = sums.get(key, 0) + sample.value
    return sums


@pytest.fixture
def plane(servers: Endpoints, new_database: Callable[[], str], tmp_path: Path) -> Plane:
    with redis.Redis.from_url(servers.bus_url) as client:
        client.flushall()
    url = new_database()
    migrate(url)
    home = tmp_path / "home"
    home.mkdir()
    return Plane(
        Settings(home=home, bus_url=servers.bus_url, ledger_url=url, partitions=PARTITIONS)
    )


def test_no_bad_input_has_an_effect_and_every_partition_goes_on(plane: Plane):
    settings = plane.settings
    environment = {
        "QUORUM_HOME": str(settings.home),
        "QUORUM_BUS_URL": settings.bus_url,
        "QUORUM_LEDGER_URL": settings.ledger_url.get_secret_value(),
        "QUORUM_PARTITIONS": str(PARTITIONS),
        "QUORUM_CONSENSUS__VOTE_TIME_TO_LIVE_SECONDS": "1",
        "QUORUM_CONSENSUS__BATCH_MESSAGES": "20",
        # That sealed garbage cuts its agent off is tested elsewhere; here its votes still count.
        "QUORUM_CONSENSUS__BREAKER_REFUSED_VOTES": "1000",
    }
    arrived: dict[tuple[int, str], bytes] = {}
    for partition, symbol in SYMBOLS.items():
        first, *rest = honest(f"honest {symbol}", symbol, 70)
        plane.send((first[0], partition, plane.sealed(first[1])))
        for case in CASES:
            data = arrived[partition, case.name] = plane.arriving(case, symbol)
            plane.send((case.stream, partition, data))
        stray = replace(vote(f"nobody's {symbol}", symbol=symbol), occurred_at=NOW)
        plane.send((Stream.VOTES, partition, plane.sealed(stray)))
        plane.send(*((stream, partition, plane.sealed(each)) for stream, each in rest))
    with consensus(settings, environment) as process:
        until(lambda: len(plane.decisions()) == PARTITIONS)
        for partition, symbol in SYMBOLS.items():
            later = honest(f"later {symbol}", symbol, 90)
            plane.send(*((stream, partition, plane.sealed(each)) for stream, each in later))
        until(lambda: len(plane.decisions()) == 2 * PARTITIONS)
        until(
            lambda: (
                counted(process, "quorum_messages_ignored_total", "reason").get(
                    "unknown_proposal", 0
                )
                == PARTITIONS
            )
        )
        refused = counted(process, "quorum_messages_refused_total", "reason")
        ended = {d.proposal.proposal_id: d for d in plane.decisions()}
    assert {d.outcome for d in ended.values()} == {Outcome.REJECT, Outcome.EXECUTE}
    for decision in ended.values():
        name = f"honest {decision.proposal.symbol}"
        was_honest = decision.proposal.proposal_id == derive_id("proposal", name)
        assert decision.outcome is (Outcome.REJECT if was_honest else Outcome.EXECUTE)
        assert decision.weighted_score == (70 if was_honest else 90)
        assert {c.agent_id for c in decision.counted} == set(AgentId)
        assert not decision.ignored
    letters = DeadLetters(settings.ledger_url.get_secret_value())
    found = letters.found(limit=10_000)
    letters.close()
    assert {(s.letter.partition, s.letter.data, s.letter.reason) for s in found} == {
        (partition, arrived[partition, case.name], case.reason)
        for partition in SYMBOLS
        for case in CASES
    }
    assert len(found) == len(CASES) * PARTITIONS
    assert all(s.letter.trace and len(s.letter.trace) < 1000 for s in found)
    expected: dict[str, float] = {}
    for case in CASES:
        expected[case.reason] = expected.get(case.reason, 0) + PARTITIONS
    assert refused == expected
    said = (settings.home / "consensus.log").read_text()
    assert said.count("message refused") == len(CASES) * PARTITIONS
    with psycopg.connect(settings.ledger_url.get_secret_value().replace("+psycopg", "")) as raw:
        query = "SELECT count(*) FROM ledger.ignored WHERE reason = 'unknown_proposal'"
        assert raw.execute(query).fetchone() == (PARTITIONS,)
