import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import polars as pl
import pytest

from adapters.time_series.memory import MemoryTimeSeries
from agents import feature_rows
from agents.build import build_agent
from agents.indicators.alphas import ALPHAS
from agents.indicators.technical import INDICATORS
from agents.learning.experiences import experiences_of
from agents.model_files import MANIFEST, save
from agents.price_history import to_microseconds
from domain.errors import InvalidValue
from domain.experience import Experience
from domain.identity import derive_id
from domain.metrics import Metric
from domain.models import DeploymentStatus, ModelVersion
from domain.money import canonical
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.model_source import DeployedModel
from domain.ports.time_series import Table
from domain.settings import ServingSettings, Settings
from domain.streams import Stream
from domain.voting import Action, AgentId, Outcome, Vote


class Published:
    """Keeps what is published."""

    def __init__(self):
        self.messages = []

    async def publish(self, stream, _partition, message):
        self.messages.append((stream, message))
        return str(len(self.messages))


class Folders:
    """A model source over folders on disk."""

    def __init__(self):
        self.deployed = {}

    def deploy(self, folder, trained, version):
        manifest = save(folder, trained)
        agent = trained.model.specification.agent
        self.deployed[agent] = DeployedModel(
            folder,
            ModelVersion(
                model_id=f"quorum-{agent}",
                version=version,
                agent_type=agent,
                performance_metrics={},
                deployment_status=DeploymentStatus.LIVE,
                created_at=datetime(2021, 1, 1, tzinfo=UTC),
                model_artifacts=manifest.files,
            ),
        )

    def current(self, agent):
        return self.deployed[agent]

    def changed(self, agent, label):
        return self.deployed[agent].version.label != label


class Counts:
    def __init__(self):
        self.seen = Counter()
        self.gauges = {}

    def count(self, metric, amount=1, **labels):
        self.seen[metric, *labels.values()] += amount

    def gauge(self, metric, value, **labels):
        self.gauges[metric, *labels.values()] = value

    def observe(self, metric, _value, **labels):
        self.seen[metric, *labels.values()] += 1


class EventTime:
    def __init__(self):
        self.latest = datetime.min.replace(tzinfo=UTC)

    def now(self):
        return self.latest

    def observe(self, moment):
        self.latest = max(self.latest, moment)


@pytest.fixture
def bus():
    return Published()


@pytest.fixture
def source(tmp_path, classics):
    folders = Folders()
    for agent, trained in classics.items():
        folders.deploy(tmp_path / agent / "1", trained, 1)
    return folders


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def store():
    return MemoryTimeSeries()


@pytest.fixture
def build(bus, source, counts, bars, store):
    def make(agent, history=bars, timeout=0.01):
        settings = Settings(serving=ServingSettings(input_timeout_seconds=timeout))
        built = build_agent(agent, bus, source, counts, EventTime(), settings, store)
        built.warm_up(history)
        return built

    make.counts = counts
    make.source = source
    return make


@pytest.mark.parametrize("agent_id", AgentId)
async def test_a_proposal_is_answered_by_one_vote(agent_id, build, bus, proposal_of, counts):
    agent = build(agent_id)
    proposal = proposal_of()
    await agent.process_message(proposal)
    [(stream, vote)] = bus.messages
    assert stream is Stream.VOTES
    assert isinstance(vote, Vote)
    assert vote == await agent.vote_on_decision(proposal)
    assert vote.occurred_at == proposal.occurred_at
    assert vote.model_version == agent.model_version.label
    assert counts.seen[Metric.VOTES_CAST, agent_id, "vote"] == 2


async def test_a_vote_waits_for_its_bar(build, bars, bar_of, until, proposal_of):
    agent = build(AgentId.RISK_MANAGER, bars.filter(pl.col("timestamp") < until), timeout=30)
    voting = asyncio.create_task(agent.vote_on_decision(proposal_of()))
    await asyncio.sleep(0)
    await agent.observe(bar_of("AAA", until))
    assert not (await voting).abstention


@pytest.mark.parametrize("agent_id", AgentId)
async def test_a_bars_work_is_done_when_it_comes_and_changes_no_vote(
    agent_id, build, bars, bar_of, until, proposal_of, monkeypatch
):
    late, early = (build(agent_id, bars.filter(pl.col("timestamp") < until)) for _ in range(2))
    symbols, yesterday = ("AAA", "BBB", "CCC"), until - timedelta(days=1)
    await early.vote_on_decision(proposal_of(at=yesterday, held=[("BBB", 0.1)]))
    for symbol in symbols:
        early.prepare(bar_of(symbol, yesterday))
    for symbol in symbols:
        await late.observe(bar_of(symbol, until))
        await early.observe(bar_of(symbol, until))
        early.prepare(bar_of(symbol, until))
    proposal = proposal_of(held=[("BBB", 0.1)])
    expected = await late.vote_on_decision(proposal)
    monkeypatch.setattr(feature_rows, "compute", None)
    assert await early.vote_on_decision(proposal) == expected


async def test_a_bar_that_does_not_come_is_an_abstention(build, bars, until, proposal_of, counts):
    agent = build(AgentId.EXECUTION, bars.filter(pl.col("timestamp") < until))
    assert "inputs missing" in (await agent.vote_on_decision(proposal_of())).abstention
    assert counts.seen[Metric.INPUT_TIMEOUTS, AgentId.EXECUTION, "bar"] == 1


@pytest.mark.parametrize("agent_id", AgentId)
async def test_a_market_gone_wild_shows_in_the_drift_metric(agent_id, build, world, counts):
    scores = []
    for times in (1.0, 0.12):
        # The last day's prices as they are, or at a fraction that is no split's, as a broken
        # source would quote them.
        agent = build(agent_id, world.bars.filter(pl.col("timestamp") < world.until))
        for symbol in ("AAA", "BBB", "CCC"):
            bar = world.bar_of(symbol, world.until)
            prices = ("open", "high", "low", "price")
            quoted = {name: canonical(float(getattr(bar, name)) * times) for name in prices}
            await agent.observe(msgspec.structs.replace(bar, **quoted))
        await agent.vote_on_decision(world.proposal_of())
        scores.append(counts.gauges[Metric.INPUT_DRIFT, agent_id])
    usual, wild = scores
    assert 0.0 < usual < 1.0 < wild


async def test_another_deployed_model_votes_at_once(build, tmp_path, trained_risk, proposal_of):
    source, counts = build.source, build.counts
    agent = build(AgentId.RISK_MANAGER)
    old = agent.model_version.label
    source.deploy(tmp_path / "2", trained_risk, 2)
    vote = await agent.vote_on_decision(proposal_of())
    assert vote.model_version == source.current(AgentId.RISK_MANAGER).version.label != old
    assert counts.gauges[Metric.MODEL_INFO, AgentId.RISK_MANAGER, old] == 0
    assert counts.gauges[Metric.MODEL_INFO, AgentId.RISK_MANAGER, vote.model_version] == 1


async def test_a_refused_model_leaves_the_last_good_one_in_place(
    build, tmp_path, trained_risk, proposal_of
):
    source, counts = build.source, build.counts
    agent = build(AgentId.RISK_MANAGER)
    old = agent.model_version.label
    source.deploy(tmp_path / "2", trained_risk, 2)
    (tmp_path / "2" / MANIFEST).write_text(json.dumps({}))
    assert (await agent.vote_on_decision(proposal_of())).model_version == old
    assert counts.seen[Metric.MODEL_FALLBACKS, AgentId.RISK_MANAGER, "refused"] == 1


def told(bar, cash=1_000_000):
    return PortfolioUpdated(
        message_id=derive_id("portfolio", bar.message_id),
        correlation_id=bar.correlation_id,
        causation_id=bar.message_id,
        occurred_at=bar.occurred_at,
        portfolio=Portfolio(cash=Decimal(cash)),
    )


#: A month in which the small market rises, this long before its end.
_LIVED = timedelta(days=170)


async def proposed_days(agent, bus, world):
    days = world.bars.filter(pl.col("timestamp") >= world.until - _LIVED)["timestamp"]
    for at in days.unique().sort()[:30]:
        for symbol in ("AAA", "BBB", "CCC"):
            bar = world.bar_of(symbol, at)
            await agent.observe(told(bar))
            await agent.process_message(bar)
    return [message for stream, message in bus.messages if stream is Stream.PROPOSALS]


async def test_the_analyst_proposes_on_bars_with_the_portfolio_it_was_told(build, bus, world):
    history = world.bars.filter(pl.col("timestamp") < world.until - _LIVED)
    agent = build(AgentId.MARKET_ANALYST, history)
    proposals = await proposed_days(agent, bus, world)
    assert proposals
    first = proposals[0]
    assert first.action is Action.BUY
    assert first.portfolio.cash == 1_000_000
    assert first.model_version == agent.model_version.label
    assert build.counts.seen[Metric.PROPOSALS, Action.BUY] == len(proposals)
    assert not (await agent.vote_on_decision(first)).abstention


async def test_two_agents_propose_the_same_bytes(build, bus, world):
    history = world.bars.filter(pl.col("timestamp") < world.until - _LIVED)
    once = await proposed_days(build(AgentId.MARKET_ANALYST, history), bus, world)
    bus.messages.clear()
    again = await proposed_days(build(AgentId.MARKET_ANALYST, world.bars), bus, world)
    assert once == again


async def test_without_a_portfolio_nothing_is_proposed(build, bus, bar_of, until, counts):
    agent = build(AgentId.MARKET_ANALYST)
    await agent.process_message(bar_of("AAA", until))
    assert bus.messages == []
    assert counts.seen[Metric.INPUT_TIMEOUTS, AgentId.MARKET_ANALYST, "portfolio"] == 1


async def test_the_analysts_other_answers(build, until):
    agent = build(AgentId.MARKET_ANALYST)
    indicators = await agent.analyze_technical_indicators("AAA", until)
    sentiment = await agent.analyze_sentiment("AAA", until)
    assert (sentiment.score, sentiment.headlines, sentiment.reader) == (0.0, 0, "lexicon")
    assert indicators.features["sentiment"] == 0.0
    assert (await agent.assess_market_regime("AAA", until)).name in {
        "calm",
        "normal",
        "turbulent",
    }
    assert set(indicators.indicators) == set(INDICATORS)
    assert set(indicators.alphas) == set(ALPHAS)
    assert (
        0
        < indicators.indicators["rsi_14"]
        == pytest.approx(100 * (indicators.features["rsi_14"] + 0.5))
    )
    found = await agent.detect_patterns("AAA", until)
    assert all(pattern.confirmed <= to_microseconds(until) for pattern, _ in found)
    measured = agent.model.specification.patterns
    assert measured
    assert [record for _, record in found] == [measured.get(p.key) for p, _ in found]
    with pytest.raises(InvalidValue, match="No bar of AAA"):
        await agent.detect_patterns("AAA", datetime(2000, 1, 1, tzinfo=UTC))


async def test_the_optimizers_and_executions_other_answers(build, proposal_of):
    proposal = proposal_of()
    allocation = await build(AgentId.PORTFOLIO_OPTIMIZER).optimize_allocation(proposal)
    assert allocation.symbols == ["AAA", "BBB", "CCC"]
    plan = await build(AgentId.EXECUTION).optimize_execution_timing(proposal)
    assert plan.quantity == proposal.quantity


def lived(number, until, reward="0.0123"):
    parts = {agent: Decimal(reward) / 4 for agent in AgentId}
    return Experience(
        message_id=f"e{number}",
        correlation_id="bar",
        occurred_at=until + timedelta(days=number),
        decision_id=f"d{number}",
        symbol="AAA",
        state={"price": Decimal(50)},
        action=Action.BUY,
        outcome=Outcome.EXECUTE,
        reward=Decimal(reward),
        next_state={"price": Decimal(51)},
        horizon_days=5,
        agent_contributions=parts,
        scores=dict.fromkeys(AgentId, 80),
        confidences_ppm=dict.fromkeys(AgentId, 600_000),
    )


async def test_what_all_agents_lived_through_is_kept_once_and_read_back(build, until, store):
    agents = [build(agent) for agent in AgentId]
    first, second = lived(1, until), lived(2, until, reward="-0.004")
    for agent in agents:
        for experience in (first, second, first):
            await agent.process_message(experience)
    versions = {await agent.write_experiences() for agent in agents}
    assert versions == {store.version(Table.EXPERIENCES)}
    found = experiences_of(store.read(Table.EXPERIENCES))
    assert found == [first, second]
    for experience in found:
        assert sum(experience.agent_contributions.values()) == experience.reward
    await agents[0].update_experience(lived(3, until))
    later = await agents[0].write_experiences()
    assert later not in versions
    (before,) = versions
    assert store.read(Table.EXPERIENCES, version=before).height == 2
    assert store.read(Table.EXPERIENCES, version=later).height == 3
    assert await agents[0].write_experiences() == ""


async def test_what_cannot_be_written_goes_on_waiting(build, until, store, monkeypatch):
    agent = build(AgentId.EXECUTION)
    await agent.update_experience(lived(1, until))

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", full)
        with pytest.raises(OSError, match="no space"):
            await agent.write_experiences()
    assert await agent.write_experiences() == store.version(Table.EXPERIENCES)
    assert store.read(Table.EXPERIENCES).height == 1
