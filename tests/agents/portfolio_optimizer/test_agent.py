from types import SimpleNamespace

import numpy as np
import pytest

from adapters.time_series.memory import MemoryTimeSeries
from agents.assessment import Abstention
from agents.build import build_agent
from agents.model_files import save
from agents.portfolio_optimizer.allocation import Objective
from agents.portfolio_optimizer.conflicts import ConflictingConstraints
from agents.portfolio_optimizer.constraints import Constraints
from domain.models import DeploymentStatus, ModelVersion
from domain.ports.model_source import DeployedModel
from domain.settings import ServingSettings, Settings
from domain.voting import Action, AgentId

SILENT = SimpleNamespace(
    count=lambda *_, **__: None, gauge=lambda *_, **__: None, observe=lambda *_, **__: None
)


@pytest.fixture
def optimizer(tmp_path, classics, bars, until):
    trained = classics[AgentId.PORTFOLIO_OPTIMIZER]
    manifest = save(tmp_path / "1", trained)
    version = ModelVersion(
        model_id="quorum-portfolio_optimizer",
        version=1,
        agent_type=AgentId.PORTFOLIO_OPTIMIZER,
        performance_metrics={},
        deployment_status=DeploymentStatus.LIVE,
        created_at=until,
        model_artifacts=manifest.files,
    )
    models = SimpleNamespace(
        current=lambda _: DeployedModel(tmp_path / "1", version), changed=lambda *_: False
    )
    clock = SimpleNamespace(now=lambda: until, observe=lambda _: None)
    settings = Settings(serving=ServingSettings(input_timeout_seconds=0.01))
    bus, store = SimpleNamespace(), MemoryTimeSeries()
    agent = build_agent(AgentId.PORTFOLIO_OPTIMIZER, bus, models, SILENT, clock, settings, store)
    agent.warm_up(bars)
    return agent


@pytest.mark.parametrize("objective", [None, *Objective])
async def test_optimize_allocation_gives_weights_for_every_symbol(
    optimizer, proposal_of, objective
):
    found = await optimizer.optimize_allocation(proposal_of(), objective)
    assert found.symbols == ["AAA", "BBB", "CCC"]
    assert found.weights.sum() == pytest.approx(0.9 if objective is None else 1.0, abs=0.1)


async def test_black_litterman_hears_the_analyst(optimizer, proposal_of):
    own = [
        (
            await optimizer.optimize_allocation(proposal_of(edge=edge), Objective.BLACK_LITTERMAN)
        ).weights[0]
        for edge in (-0.2, 0.0, 0.2)
    ]
    assert own == sorted(own)
    assert own[0] < own[2]


async def test_conflicts_reach_the_caller(optimizer, proposal_of):
    with pytest.raises(ConflictingConstraints, match="each asset at most"):
        await optimizer.optimize_allocation(
            proposal_of(), Objective.RISK_PARITY, Constraints(upper=0.2)
        )


async def test_suggest_rebalancing_leads_from_the_portfolio_toward_the_target(
    optimizer, proposal_of
):
    proposal = proposal_of(held=(("AAA", 0.9),))
    target = await optimizer.optimize_allocation(proposal)
    found = await optimizer.suggest_rebalancing(proposal)
    first = found.trades[0]
    assert (first.symbol, first.quantity < 0) == ("AAA", True)
    before = np.array([0.9, 0.0, 0.0])
    assert np.abs(found.weights - target.weights).sum() < np.abs(before - target.weights).sum()
    assert found.cash >= 0


async def test_calculate_efficient_frontier_starts_at_the_largest_return(optimizer, proposal_of):
    found = await optimizer.calculate_efficient_frontier(proposal_of())
    assert found.returns[0] == pytest.approx(found.expected.max())
    assert found.trade_offs[-1] == 0.0


async def test_diversification_is_told_before_and_after_the_trade(optimizer, proposal_of):
    before, after = await optimizer.analyze_diversification(proposal_of(held=(("BBB", 0.5),)))
    assert before.effective_assets == pytest.approx(1.0)
    assert after.effective_bets > before.effective_bets
    nothing, _ = await optimizer.analyze_diversification(proposal_of(action=Action.BUY))
    assert nothing is None


async def test_the_front_holds_what_no_other_objective_beats(optimizer, proposal_of):
    found = await optimizer.compare_allocations(proposal_of())
    assert 1 <= len(found.weights) <= len(Objective)
    assert 0 <= found.balanced < len(found.weights)


async def test_without_the_proposals_bar_every_answer_is_an_abstention(
    optimizer, proposal_of, bars
):
    late = proposal_of(at=bars["timestamp"][-1])
    optimizer.warm_up(bars.filter(bars["timestamp"] < bars["timestamp"][-1]))
    for ask in (
        optimizer.optimize_allocation, optimizer.suggest_rebalancing,
        optimizer.calculate_efficient_frontier, optimizer.analyze_diversification,
        optimizer.compare_allocations,
    ):  # fmt: skip
        assert isinstance(await ask(late), Abstention)
