"""A breach takes the version back, from this machine alone, and the old one votes again."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from adapters.bus.memory import MemoryBus
from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.memory import MemoryModelRegistry
from adapters.model_registry.signing import ModelKeys
from domain.experience import LIMIT_BREACH, Experience
from domain.model_life import ModelLife, apply, next_move
from domain.models import Alias, DeploymentStatus
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import Action, AgentId, Outcome
from evaluation.guardrails import Breach, Guardrail
from serving.agent_runtime import AgentRuntime
from serving.model_source import LocalModelSource
from serving.voting import Voting
from serving.watch import Watch
from tests.builders import proposal, vote

AGENT = AgentId.RISK_MANAGER
S = DeploymentStatus
NOON = datetime(2013, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def metrics():
    return PrometheusMetrics()


@pytest.fixture
def lived(models, deploy):
    """Deploy versions, each of them live once, the last one now."""

    def live(*numbers: int, agent: AgentId = AGENT) -> list:
        versions, life, moves = [deploy(agent, n) for n in numbers], ModelLife(agent), []
        for number in numbers:
            for after in (S.VALIDATED, S.LIVE):
                moves.append(
                    next_move(life, number, after, actor="gate", reason="r", occurred_at=NOON)
                )
                life = apply(life, moves[-1])
        models.follow(agent, moves)
        return versions

    return live


class Agent:
    """Votes by the model that the source gives it; fails while the model's number is in `bad`."""

    def __init__(self, source, bus, bad=()):
        self.source, self.bus, self.bad = source, bus, bad
        self.adopt_current_model()

    def adopt_current_model(self):
        self.model_version = self.source.current(AGENT).version

    async def process_message(self, made):
        if self.model_version.version in self.bad:
            raise ZeroDivisionError("broken model")
        cast = vote(made.proposal_id, AGENT, score=75)
        cast = msgspec.structs.replace(cast, model_version=self.model_version.label)
        await self.bus.publish(Stream.VOTES, 0, cast)

    async def observe(self, _):
        pass


@pytest.fixture
def voting(models, tmp_path, metrics):
    def make(*bad: int) -> Voting:
        settings = Settings(home=tmp_path)
        source = LocalModelSource(models, AGENT, trial=lambda _: None, metrics=metrics)
        agent = Agent(source, MemoryBus(), bad)

        async def adopt():
            if await asyncio.to_thread(source.refresh):
                agent.adopt_current_model()

        def watch():
            return Watch(agent.model_version, models, metrics, settings, lambda: NOON)

        made = Voting(agent, adopt, watch)
        made.begun = True
        return made

    return make


async def until_taken_back(voting, most=20) -> int:
    """Return how many proposals it takes until one is voted on."""
    for number in range(1, most):
        try:
            await voting.act(proposal(f"p{number}", seconds=number))
        except ZeroDivisionError:
            continue
        return number
    raise AssertionError("the broken version still is served")


async def test_a_version_that_breaks_is_taken_back_within_a_few_votes(
    voting, lived, models, metrics
):
    good, _ = lived(1, 2)
    service = voting(2)
    began = time.perf_counter()
    assert await until_taken_back(service) <= 6
    assert time.perf_counter() - began < 5
    assert service._agent.model_version == good
    assert models.current(AGENT).version == good
    *_, move = models.moves(AGENT)
    assert (move.after, move.version, move.displaced) == (S.ROLLED_BACK, 2, 1)
    assert (move.actor, len(move.evidence)) == ("guard:risk_manager", 64)
    assert "guardrail on errors" in move.reason
    labels = {"agent": AGENT, "outcome": "ROLLED_BACK"}
    assert metrics.registry.get_sample_value("quorum_model_rollbacks_total", labels) == 1


async def test_what_it_falls_back_to_is_watched_too_one_version_at_a_time(voting, lived, models):
    lived(1, 2, 3)
    service = voting(2, 3)
    assert await until_taken_back(service) <= 12
    assert service._agent.model_version.version == 1
    assert [m.version for m in models.moves(AGENT)[-2:]] == [3, 2]


async def test_the_first_version_has_nothing_to_fall_back_to_and_that_is_told(
    voting, lived, models, metrics
):
    lived(1)
    service = voting(1)
    for number in range(8):
        with pytest.raises(ZeroDivisionError):
            await service.act(proposal(f"p{number}", seconds=number))
    assert models.current(AGENT).version.version == 1
    labels = {"agent": AGENT, "outcome": "IllegalMove"}
    assert metrics.registry.get_sample_value("quorum_model_rollbacks_total", labels) == 1


def portfolio(equity: int, number: int) -> PortfolioUpdated:
    return PortfolioUpdated(
        message_id=f"portfolio {number}",
        correlation_id="walk",
        occurred_at=NOON + timedelta(days=number),
        portfolio=Portfolio(cash=Decimal(equity)),
    )


async def test_a_drawdown_is_a_breach_at_once_but_not_one_of_before_it_was_served(
    voting, lived, models
):
    lived(1, 2)
    service = voting()
    service.begun = False
    for number, equity in enumerate((100, 10)):
        await service.observe(portfolio(equity, number))
    service.begun = True
    for number, equity in enumerate((100, 120, 95), start=2):
        await service.observe(portfolio(equity, number))
    assert models.current(AGENT).version.version == 2
    await service.observe(portfolio(89, 9))
    assert models.current(AGENT).version.version == 1


async def test_a_replay_watches_nobody(voting, lived, models):
    lived(1, 2)
    service = voting(2)
    service._watch = None
    with pytest.raises(AssertionError, match="still is served"):
        await until_taken_back(service)
    assert models.current(AGENT).version.version == 2


def test_in_a_replay_neither_speed_nor_what_comes_beside_it_is_a_breach(
    models, lived, tmp_path, metrics
):
    _, two = lived(1, 2)
    settings = Settings(home=tmp_path, clock="event", promotion={"guard_replays": True})
    watch = Watch(two, models, metrics, settings, lambda: NOON)
    assert {watch.failed() for _ in range(50)} == {None}
    assert {watch.voted(99.0) for _ in range(50)} == {None}
    assert [watch.observed(portfolio(equity, i)) for i, equity in enumerate((100, 1))] == [None] * 2


def test_a_version_that_falls_twice_is_quarantined_without_any_registry(models, lived):
    lived(1, 2)
    told = {"actor": "guard", "reason": "r", "evidence": "", "occurred_at": NOON}
    assert models.take_back(AGENT, 2, **told).after is S.ROLLED_BACK
    assert models.take_back(AGENT, 2, **told) is None, "it is not live any more"
    moves = list(models.moves(AGENT))
    life = models.life(AGENT)
    for after in (S.VALIDATED, S.LIVE):
        moves.append(next_move(life, 2, after, actor="gate", reason="r", occurred_at=NOON))
        life = apply(life, moves[-1])
    models.follow(AGENT, moves)
    assert models.current(AGENT).version.version == 2
    assert models.take_back(AGENT, 2, **told).after is S.QUARANTINED
    assert models.current(AGENT).version.version == 1


def test_a_champion_whose_files_are_broken_is_taken_back_all_the_same(models, lived, tmp_path):
    lived(1, 2)
    (tmp_path / "models" / AGENT / "2" / "model.safetensors").write_bytes(b"flipped")
    told = {"actor": "guard", "reason": "r", "evidence": "", "occurred_at": NOON}
    assert models.take_back(AGENT, 2, **told).after is S.ROLLED_BACK
    assert models.current(AGENT).version.version == 1


def test_registries_are_not_asked(models, lived, monkeypatch, tmp_path):
    lived(1, 2)
    registry = MemoryModelRegistry(ModelKeys(tmp_path / "keys"))
    monkeypatch.setattr(
        MemoryModelRegistry, "__getattribute__", lambda *_: pytest.fail("the registry was asked")
    )
    told = {"actor": "guard", "reason": "r", "evidence": "", "occurred_at": NOON}
    assert models.take_back(AGENT, 2, **told)
    del registry
    assert models.current(AGENT, Alias.PREVIOUS) is None


def outcome(day: int, label: str, *, right: bool, horizon: int = 5) -> Experience:
    agent = AgentId.MARKET_ANALYST
    return Experience(
        message_id=f"e{day}", correlation_id="", occurred_at=NOON + timedelta(days=day),
        decision_id=f"d{day}", symbol="IBM", state={}, action=Action.BUY, outcome=Outcome.EXECUTE,
        reward=Decimal("0.01") if right else Decimal("-0.01"), next_state={}, horizon_days=horizon,
        agent_contributions={}, scores={agent: 80}, confidences_ppm={agent: 700_000},
        model_versions={agent: label},
    )  # fmt: skip


def test_an_edge_that_ended_takes_the_version_back_when_a_horizon_is_complete(
    models, lived, metrics, tmp_path
):
    agent, settings = AgentId.MARKET_ANALYST, Settings(home=tmp_path, clock="event")
    old, new = lived(1, 2, agent=agent)
    watch = Watch(new, models, metrics, settings, lambda: NOON)

    def right(day: int) -> bool:
        return day % 10 < (7 if day < 200 else 2)

    told = [(d, watch.observed(outcome(d, new.label, right=right(d)))) for d in range(400)]
    day, found = next((d, found) for d, found in told if found is not None)
    assert 200 < day < 260
    assert day % 5 == 0
    assert found.ended
    assert watch.take_back(found)
    assert models.current(agent).version.label == old.label
    move = models.moves(agent)[-1]
    assert (move.after, move.actor, move.reason) == (S.ROLLED_BACK, f"guard:{agent}", found.reason)


def test_orders_beyond_a_limit_take_back_who_supported_them(models, lived, metrics, tmp_path):
    _, new = lived(1, 2, agent=AgentId.MARKET_ANALYST)
    settings = Settings(home=tmp_path, clock="event")

    def after(share: int, **changes: object) -> Breach | None:
        watch = Watch(new, models, metrics, settings, lambda: NOON)
        for day in range(40):
            met = outcome(day, new.label, right=day % 10 < 7)
            realised = {LIMIT_BREACH: Decimal(1)} if day % share == 0 else {}
            met = msgspec.structs.replace(met, realised=realised, **changes)
            if (found := watch.observed(met)) is not None:
                return found
        return None

    assert after(4).guardrail is Guardrail.LIMITS
    assert after(4, outcome=Outcome.REJECT) is None
    assert after(41, scores={AgentId.MARKET_ANALYST: 60}) is None
    assert after(100) is None


def test_other_versions_outcomes_say_nothing_of_an_edge(models, lived, metrics, tmp_path):
    old, new = lived(1, 2, agent=AgentId.MARKET_ANALYST)
    settings = Settings(home=tmp_path, clock="event")
    watch = Watch(new, models, metrics, settings, lambda: NOON)
    assert not any(watch.observed(outcome(d, old.label, right=False)) for d in range(200))


async def test_a_replay_takes_back_by_the_time_of_what_the_agent_was_told(
    models, lived, metrics, tmp_path
):
    """A watch with a clock of its own, which nobody told the time, could take nothing back."""
    agent = AgentId.MARKET_ANALYST
    old, new = lived(1, 2, agent=agent)
    settings = Settings(home=tmp_path, clock="event", promotion={"guard_replays": True})
    clock = EventClock()

    class Told:
        model_version = new

        async def process_message(self, message):
            clock.observe(message.occurred_at)

        def adopt_current_model(self):
            self.model_version = models.current(agent).version

    told = Told()
    voting = AgentRuntime(agent, settings)._votes(told, clock)
    voting.begun = True
    for day in range(400):
        await voting.act(outcome(day, new.label, right=day % 10 < (7 if day < 200 else 2)))
    move = models.moves(agent)[-1]
    assert move.after is S.ROLLED_BACK
    assert NOON < move.occurred_at <= clock.now()
    assert models.current(agent).version.label == old.label
