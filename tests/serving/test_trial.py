"""A version on trial: it votes where it is assigned, and can't hold up or change anything else."""

import asyncio
import math
import threading
import time
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest

from adapters.bus.memory import MemoryBus
from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from consensus.engine import Engine
from consensus.service import rules_from
from domain.assignment import to_challenger
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import decode, encode
from domain.models import DeploymentStatus
from domain.orders import OrderUpdated
from domain.ports.model_source import DeployedModel
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId, ConsensusResult
from serving.trial import NotVoting, Trial
from serving.voting import Voting
from tests.builders import proposal, vote
from trading.gateway import Gateway
from trading.paper_venue import PaperVenue

AGENT = AgentId.RISK_MANAGER
S = DeploymentStatus
PROPOSALS = [proposal(f"p{i}", seconds=i) for i in range(60)]
BAR = MarketData(
    message_id=derive_id("bar", "IBM"),
    correlation_id=derive_id("bar", "IBM"),
    occurred_at=PROPOSALS[0].occurred_at,
    symbol="IBM",
    observed_at=PROPOSALS[0].occurred_at,
    price=Decimal(100),
    open=Decimal(100),
    high=Decimal(100),
    low=Decimal(100),
    volume=Decimal(1_000_000),
)


class Agent:
    """Votes 75, or as its kind of hostility has it."""

    def __init__(self, version, bus=None, hostility=lambda _: 75):
        self.model_version = version
        self.bus, self.hostility = bus, hostility

    async def vote_on_decision(self, made):
        score = self.hostility(made)
        cast = vote(made.proposal_id, AGENT, score=score)
        return msgspec.structs.replace(
            cast,
            proposal_id=made.proposal_id,
            occurred_at=made.occurred_at,
            model_version=self.model_version.label,
        )

    async def process_message(self, made):
        await self.publish(Stream.VOTES, made.symbol, await self.vote_on_decision(made))

    async def publish(self, stream, _, message):
        await self.bus.publish(stream, 0, message)


def crash(_):
    raise ZeroDivisionError("hostile")


def leave(_):
    raise SystemExit


HOSTILE = {
    "none": None,
    "all 100": lambda _: 100,
    "NaN": lambda _: math.nan,
    "too much": lambda _: 10_000,
    "crash": crash,
    "exit": leave,
    "1 s": lambda _: time.sleep(1),
}


@pytest.fixture
def metrics():
    return PrometheusMetrics()


@pytest.fixture
def trial(deploy, tmp_path, metrics, eventually):
    """Begin a trial of version 2, which votes by `hostility`; wait until it votes."""
    begun = []

    async def begin(hostility, status, *, wait=True):
        version = deploy(AGENT, 2)

        @asynccontextmanager
        async def start(source):
            if hostility is None:
                await asyncio.Event().wait()
            yield Agent(source.current(AGENT).version, hostility=hostility)

        made = Trial(
            DeployedModel(tmp_path / "models" / AGENT / "2", version),
            start,
            metrics,
            status=status,
            against=1,
            votes=tmp_path / "trials" / "2.jsonl",
            timeout_seconds=0.1,
        )
        begun.append(made)

        async def ready():
            return made.ready

        if wait:
            await eventually(ready)
        return made

    yield begin
    for made in begun:
        made.end()
    for made in begun:
        made._thread.join(20 if made.ready else 0)


async def votes_of(deploy, made: Trial | None, proposals=PROPOSALS) -> list[bytes]:
    """Return the bytes of all votes that a service publishes with or without a trial."""
    bus = MemoryBus()
    voting = Voting(Agent(deploy(AGENT, 1), bus), asyncio.Event().wait, None)
    voting.trial = made
    for each in proposals:
        await voting.act(each)
    return [delivery.data for delivery in await bus.read(Stream.VOTES, 0)]


def failures(metrics, reason):
    labels = {"agent": AGENT, "reason": reason}
    return metrics.registry.get_sample_value("quorum_trial_failures_total", labels) or 0


@pytest.mark.parametrize("kind", HOSTILE)
async def test_with_a_hostile_challenger_in_shadow_every_vote_is_the_same_byte_for_byte(
    deploy, trial, kind
):
    without = await votes_of(deploy, None)
    made = None if kind == "none" else await trial(HOSTILE[kind], S.SHADOW)
    assert await votes_of(deploy, made) == without
    assert len(without) == len(PROPOSALS)


class Slow:
    """Takes 10 s for each vote, or until the test lets it go."""

    def __init__(self):
        self.asked = self.answered = 0
        self.let_go = threading.Event()

    def __call__(self, _):
        self.asked += 1
        self.let_go.wait(10)
        self.answered += 1
        return 100


async def orders_of(cast: list[bytes]) -> list[bytes]:
    """Return the bytes of all that engine, controls and paper venue make of a service's votes."""
    settings = Settings()
    engine = Engine(rules_from(settings))
    venue, clock = PaperVenue(settings.trading), EventClock()
    clock.observe(BAR.occurred_at)
    gateway = Gateway(venue, clock, PrometheusMetrics(), settings.trading)
    made = [*await gateway.on_market_data(BAR)]
    for i, (each, data) in enumerate(zip(PROPOSALS, cast, strict=True)):
        others = [vote(f"p{i}", a, score=76, seconds=i) for a in AgentId if a is not AGENT]
        for message in (each, *others, decode(data)):
            for event in engine.apply(message):
                made.append(event)
                if isinstance(event, ConsensusResult):
                    made += [*await gateway.on_decision(event), *await gateway.dispatch()]
    assert sum(isinstance(event, OrderUpdated) for event in made) > 0
    return [encode(event) for event in made]


async def test_with_a_challenger_that_takes_10_s_orders_are_the_same_and_no_vote_waits_for_it(
    deploy, trial
):
    slow = Slow()
    without = await orders_of(await votes_of(deploy, None))
    made = await trial(slow, S.SHADOW)
    try:
        cast = await votes_of(deploy, made)
        assert slow.answered == 0, "all votes were out before the slow one gave its first"
        assert await orders_of(cast) == without
    finally:
        slow.let_go.set()


async def test_shadow_votes_are_kept_where_nobody_acts_on_them(deploy, trial, tmp_path, eventually):
    made = await trial(lambda _: 42, S.SHADOW)
    await votes_of(deploy, made, PROPOSALS[:3])
    kept = tmp_path / "trials" / "2.jsonl"

    async def written():
        return kept.exists() and len(kept.read_bytes().splitlines()) == 3

    await eventually(written)
    shadow = [decode(line) for line in kept.read_bytes().splitlines()]
    assert {(v.score, v.model_version) for v in shadow} == {(42, made.version.label)}


@pytest.mark.parametrize("status", [S.CANARY_5, S.CANARY_25, S.CANARY_50])
async def test_a_canary_votes_on_just_the_decisions_that_the_log_says(deploy, trial, status):
    made = await trial(lambda _: 42, status)
    cast = [decode(data) for data in await votes_of(deploy, made)]
    share = int(status.rpartition("_")[2])
    for each, cast_on in zip(PROPOSALS, cast, strict=True):
        decision = derive_id("decision", each.proposal_id)
        mine = to_challenger("risk_manager:2-against-1", decision, share)
        assert cast_on.score == (42 if mine else 75)
        assert (cast_on.model_version == made.version.label) == mine
    assert cast == [decode(data) for data in await votes_of(deploy, made)], "sticky"


@pytest.mark.parametrize(("kind", "reason"), [("NaN", "broken"), ("crash", "broken")])
async def test_where_a_canary_fails_the_champion_votes_and_it_is_counted(
    deploy, trial, metrics, kind, reason
):
    made = await trial(HOSTILE[kind], S.CANARY_50)
    assert await votes_of(deploy, made) == await votes_of(deploy, None)
    assigned = sum(made.assigned(each) for each in PROPOSALS)
    assert failures(metrics, reason) >= assigned > 20


async def test_a_canary_that_is_late_holds_up_one_time_out_and_piles_nothing_up(
    deploy, trial, metrics
):
    made = await trial(HOSTILE["1 s"], S.CANARY_50)
    mine = [each for each in PROPOSALS if made.assigned(each)]
    assert await votes_of(deploy, made, mine) == await votes_of(deploy, None, mine)
    assert failures(metrics, "late") == 4
    assert failures(metrics, "busy") == len(mine) - 4


async def test_one_that_does_not_start_is_told_and_leaves_the_champion(deploy, trial, metrics):
    made = await trial(None, S.CANARY_50, wait=False)
    assert await votes_of(deploy, made) == await votes_of(deploy, None)
    with pytest.raises(NotVoting, match="on trial and starting"):
        await made.vote(PROPOSALS[0])


async def test_it_does_not_vote_in_another_s_name(deploy, trial, monkeypatch):
    made = await trial(lambda _: 42, S.CANARY_50)
    monkeypatch.setattr(made._agent, "model_version", deploy(AGENT, 9))
    with pytest.raises(NotVoting):
        await made.vote(PROPOSALS[0])
