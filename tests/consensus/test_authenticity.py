"""Who may say what: seals, forms and times of the messages that the consensus takes in."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consensus.authenticity import Authenticity, Window
from domain.messages import Message, decode, encode
from domain.ports.bus import Delivery
from domain.ports.keys import Key
from domain.producers import Producer
from domain.refusals import Refusal
from domain.seals import key_id, seal
from domain.streams import Stream
from domain.voting import AgentId, Vote
from tests.builders import at, proposal, tick, verdict, vote

SECRETS = {producer: bytes([number]) * 32 for number, producer in enumerate(Producer)}
KEYS = {key_id(secret): Key(producer, secret) for producer, secret in SECRETS.items()}
ANALYST = SECRETS[Producer.MARKET_ANALYST]
SPEAKER = {
    Producer.MARKET_ANALYST: proposal(),
    Producer.CONSENSUS: tick(1),
    Producer.OPERATOR: verdict("d"),
}


class Ring:
    def find(self, key_id: bytes) -> Key | None:
        return KEYS.get(key_id)


class Noon:
    def now(self):
        return at(0)

    def observe(self, _):
        raise AssertionError


def judged(data: bytes, *, authenticity: Authenticity | None = None) -> Refusal | None:
    delivery = Delivery(stream=Stream.VOTES, partition=0, position="1-0", data=data)
    refused = (authenticity or Authenticity(Ring())).refusal(delivery, decode(data))
    return refused.reason if refused else None


def test_the_right_seal_passes():
    for agent in AgentId:
        assert judged(seal(encode(vote(agent=agent)), SECRETS[Producer(agent)])) is None
    for producer, message in SPEAKER.items():
        assert judged(seal(encode(message), SECRETS[producer])) is None


@pytest.mark.parametrize("message", [vote(), *SPEAKER.values()], ids=lambda m: type(m).__name__)
def test_no_seal_or_an_unknown_key_is_a_forgery(message: Message):
    kind = Refusal.FORGED_VOTE if isinstance(message, Vote) else Refusal.FORGED_MESSAGE
    assert judged(encode(message)) is kind
    assert judged(seal(encode(message), b"nobody's".ljust(32))) is kind


@pytest.mark.parametrize("sealer", Producer)
@pytest.mark.parametrize("agent", AgentId)
def test_nobody_votes_for_another(sealer: Producer, agent: AgentId):
    expected = None if sealer == agent else Refusal.FORGED_VOTE
    assert judged(seal(encode(vote(agent=agent)), SECRETS[sealer])) is expected


@pytest.mark.parametrize("sealer", Producer)
def test_only_the_right_ones_propose_tick_and_answer(sealer: Producer):
    right = {
        "TradingProposal": {Producer.MARKET_ANALYST},
        "Tick": {Producer.CONSENSUS, Producer.FEED},
        "ReviewVerdict": {Producer.OPERATOR},
    }
    for message in SPEAKER.values():
        expected = None if sealer in right[type(message).__name__] else Refusal.FORGED_MESSAGE
        assert judged(seal(encode(message), SECRETS[sealer])) is expected


def test_an_unknown_agent_is_left_to_the_engine_if_an_agent_says_it():
    stranger = encode(vote(agent="oracle"))
    assert judged(seal(stranger, ANALYST)) is None
    assert judged(seal(stranger, SECRETS[Producer.GATEWAY])) is Refusal.FORGED_VOTE


@given(st.data())
def test_a_vote_whose_bytes_were_changed_is_never_let_in(data: st.DataObject):
    sealed = bytearray(seal(encode(vote(score=10)), ANALYST))
    score = sealed.index(b'"score":10')
    place = data.draw(st.integers(score + 8, score + 9))
    sealed[place] = data.draw(st.integers(ord("1"), ord("9")).filter(lambda c: c != sealed[place]))
    assert judged(bytes(sealed)) is Refusal.FORGED_VOTE


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"score":80', b'"score":0,"score":80', Refusal.DUPLICATE_FIELD),
        (b'"risk_assessment":{}', b'"risk_assessment":{"a":"1","a":"2"}', Refusal.DUPLICATE_FIELD),
        (b'"score":80', b'"score": 80', Refusal.NOT_CANONICAL),
        (b'"rationale":"measured"', b'"rationale":"\\u006deasured"', Refusal.NOT_CANONICAL),
        (b'"score":80,"symbol":"IBM"', b'"symbol":"IBM","score":80', Refusal.NOT_CANONICAL),
        (b'"veto":""}', b'"veto":""}\n', Refusal.NOT_CANONICAL),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_though_it_is_sealed(old, new, reason):
    data = encode(vote())
    assert old in data
    assert judged(seal(data.replace(old, new, 1), ANALYST)) is reason


def test_a_form_without_the_fields_of_a_later_version_is_canonical():
    fields = json.loads(encode(vote()))
    del fields["veto"]
    older = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    assert judged(seal(older, ANALYST)) is None


def test_times_are_held_against_the_clock_where_there_is_one():
    window = Window(past=timedelta(days=1), future=timedelta(minutes=1))
    clocked = Authenticity(Ring(), clock=Noon(), window=window)

    def at_seconds(seconds: float) -> Refusal | None:
        message = replace(vote(), occurred_at=at(seconds))
        return judged(seal(encode(message), ANALYST), authenticity=clocked)

    assert at_seconds(60) is None
    assert at_seconds(60.000001) is Refusal.FROM_THE_FUTURE
    assert at_seconds(-86_400) is None
    assert at_seconds(-86_400.000001) is Refusal.FROM_THE_PAST
    assert judged(seal(encode(vote(seconds=10**8)), ANALYST)) is None
