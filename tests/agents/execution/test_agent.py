from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from adapters.time_series.memory import MemoryTimeSeries
from agents.execution.agent import Execution
from agents.execution.monitoring import MarketTape, Step
from agents.execution.routing import Venue
from agents.market_view import MarketView
from agents.model_files import save
from domain.errors import InvalidValue
from domain.execution_plan import Algorithm
from domain.models import DeploymentStatus, ModelVersion
from domain.orders import ExecutionReport, Side
from domain.ports.model_source import DeployedModel
from domain.settings import ServingSettings, Settings
from domain.voting import Action, AgentId

LIT = Venue("lit", 0.3, 1.0, depth=50)
OTHER = Venue("other", 0.2, 1.0, depth=50)
DARK = Venue("dark", 0.1, 1.0, dark=True, fill_probability=0.5, capacity=10)


@pytest.fixture
def agent(tmp_path, classics, bars):
    manifest = save(tmp_path / "1", classics[AgentId.EXECUTION])
    version = ModelVersion(
        model_id="quorum-execution", version=1, agent_type=AgentId.EXECUTION,
        performance_metrics={}, deployment_status=DeploymentStatus.LIVE,
        created_at=datetime(2021, 1, 1, tzinfo=UTC), model_artifacts=manifest.files,
    )  # fmt: skip
    source = SimpleNamespace(
        current=lambda _: DeployedModel(tmp_path / "1", version), changed=lambda *_: False
    )
    quiet = SimpleNamespace(gauge=lambda *_, **__: None, count=lambda *_, **__: None)
    settings = Settings(serving=ServingSettings(input_timeout_seconds=0.01))
    built = Execution(
        SimpleNamespace(), source, quiet, SimpleNamespace(), settings, MemoryTimeSeries()
    )
    built.warm_up(bars)
    return built


def flat_tape(proposal, at):
    price = float(proposal.reference_price)
    times = np.array([int(at.timestamp() * 1e6)], dtype=np.int64)
    return MarketTape(times, np.array([price]), np.array([1e9]))


def fill_of(proposal, quantity, at):
    return ExecutionReport(
        message_id="m", correlation_id="c", occurred_at=at, execution_id="e", client_order_id="o",
        decision_id="d", symbol=proposal.symbol, side=Side.BUY, quantity=Decimal(quantity),
        price=proposal.reference_price, executed_at=at,
    )  # fmt: skip


@pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
async def test_timing_plans_the_whole_proposal(agent, proposal_of, action):
    proposal = proposal_of(action=action, fraction=0.9)
    found = await agent.optimize_execution_timing(proposal)
    assert found.quantity == proposal.quantity
    assert (found.side, found.proposal_id) == (action.value, proposal.proposal_id)
    assert found == await agent.optimize_execution_timing(proposal)


@pytest.mark.parametrize("algorithm", [a for a in Algorithm if a is not Algorithm.LEARNED])
async def test_the_algorithm_that_is_asked_for_plans(agent, proposal_of, algorithm):
    found = await agent.optimize_execution_timing(proposal_of(fraction=0.9), algorithm)
    assert found.algorithm is algorithm


async def test_a_trade_is_planned_and_every_child_routed(agent, proposal_of):
    proposal = proposal_of(fraction=0.9)
    plan = await agent.execute_trade(proposal, [LIT, OTHER, DARK])
    timing = await agent.optimize_execution_timing(proposal)
    assert {child.venue for child in plan.children} == {"lit", "other", "dark"}
    for child in timing.children:
        parts = [part.quantity for part in plan.children if part.due == child.due]
        assert sum(parts) == child.quantity
    paper = await agent.execute_trade(proposal)
    assert {child.venue for child in paper.children} == {"paper"}


async def test_routing_is_the_cheapest_split(agent):
    routes = await agent.route_order(200, [LIT, OTHER, DARK])
    assert {route.venue: route.quantity for route in routes} == {"lit": 93, "other": 97, "dark": 10}


async def test_on_schedule_it_goes_on_and_on_another_volume_it_plans_the_rest(
    agent, proposal_of, until
):
    proposal = proposal_of(fraction=0.9)
    plan = await agent.execute_trade(proposal)
    due = plan.due_by(0, 3599)
    _, forecast = agent._order(await agent._case(proposal))
    traded = forecast.buckets[:2]

    async def watched(factor):
        tape = flat_tape(proposal, until)._replace(volumes=np.array([factor * traded.sum()]))
        fills = [fill_of(proposal, due, until)]
        return await agent.monitor_execution(
            proposal, plan, fills, tape, traded=(factor * traded).tolist()
        )

    progress, revised = await watched(1.0)
    assert (progress.step, revised) == (Step.CONTINUE, None)
    progress, revised = await watched(3.0)
    assert progress.step is Step.REPLAN
    assert "forecast volume" in progress.reason
    assert revised.quantity == proposal.quantity - due
    assert revised.children[0].due == (0, 3600)


async def test_what_a_session_leaves_goes_to_the_next(agent, proposal_of, until):
    proposal = proposal_of(fraction=0.9)
    plan = await agent.execute_trade(proposal)
    progress, revised = await agent.monitor_execution(
        proposal, plan, [fill_of(proposal, 10, until)],
        flat_tape(proposal, until)._replace(volumes=np.array([1e7])), traded=[1e6] * 13,
    )  # fmt: skip
    assert progress.step is Step.REPLAN
    assert revised.quantity == proposal.quantity - 10
    assert revised.children[0].due[0] == 1


async def test_a_price_that_ran_away_stops_without_a_plan(agent, proposal_of, until):
    proposal = proposal_of(fraction=0.9)
    plan = await agent.execute_trade(proposal)
    tape = flat_tape(proposal, until)
    progress, revised = await agent.monitor_execution(
        proposal, plan, [], tape._replace(prices=tape.prices * 1.5), traded=[]
    )
    assert progress.step is Step.STOP
    assert revised is None


async def test_the_curve_is_the_symbols_own_where_bars_tell_it(agent, proposal_of, until, bar_of):
    """Half-hour bars that trade at noon only move the plan's VWAP to noon."""
    proposal = proposal_of(fraction=0.9)
    usual = await agent.optimize_execution_timing(proposal, Algorithm.VWAP)
    view = MarketView()
    noon = np.ones(13)
    noon[6] = 40
    for day in range(20):
        open_at = until.replace(hour=14, minute=30) - timedelta(days=20 - day)
        for bucket in range(13):
            bar = bar_of("AAA", until)
            at = open_at + timedelta(minutes=30 * (bucket + 1))
            await view.update(_at(bar, at, f"{day}-{bucket}", noon[bucket] * 1e5))
    await view.update(bar_of("AAA", until))
    agent.view = view
    own = await agent.optimize_execution_timing(proposal, Algorithm.VWAP)

    def share_at_noon(plan):
        return float(sum(c.quantity for c in plan.children if c.seconds == 6 * 1800)) / float(
            plan.quantity
        )

    assert share_at_noon(usual) < 0.1 < share_at_noon(own)


def _at(bar, at, name, volume):
    return replace(
        bar, message_id=name, occurred_at=at, observed_at=at, volume=Decimal(int(volume))
    )


async def test_without_its_bar_or_with_nothing_to_trade_there_is_a_typed_error(agent, proposal_of):
    proposal = proposal_of()
    for impossible in (
        replace(proposal, correlation_id="unknown"),
        replace(proposal, action=Action.HOLD),
    ):
        with pytest.raises(InvalidValue):
            await agent.execute_trade(impossible)
