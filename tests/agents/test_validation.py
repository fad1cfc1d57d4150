from datetime import timedelta

import pytest

from agents.validation import validation_metrics
from domain.voting import AgentId

MEASURES = {
    AgentId.MARKET_ANALYST: ["brier", "log_loss", "return_product", "chance", "happened"],
    AgentId.RISK_MANAGER: ["qlike", "exception_95", "exception_99", "chance", "happened"],
    AgentId.PORTFOLIO_OPTIMIZER: ["log_return"],
    AgentId.EXECUTION: ["volume_error", "range_error"],
}


@pytest.mark.parametrize("agent", AgentId)
def test_each_agent_is_measured_by_its_own_task(agent, classics, world):
    until = world.until
    start = until - timedelta(days=60)
    frame = validation_metrics(
        classics[agent].model,
        world.bars,
        world.features,
        start=start,
        end=until,
        settings=world.limits,
    )
    assert frame.columns == ["symbol", "timestamp", *MEASURES[agent]]
    assert frame["timestamp"].min() >= start
    assert frame["timestamp"].max() < until
    assert frame.null_count().row(0) == (0,) * len(frame.columns)
    assert frame.height == (11 if agent is AgentId.PORTFOLIO_OPTIMIZER else 3 * 55)


def test_two_models_give_pairs(classics, trained_risk, world):
    frames = [
        validation_metrics(
            trained.model, world.bars, world.features,
            start=world.until - timedelta(days=90), end=world.until, settings=world.limits,
        )
        for trained in (classics[AgentId.RISK_MANAGER], trained_risk)
    ]  # fmt: skip
    keys = ["symbol", "timestamp"]
    assert frames[0].select(keys).equals(frames[1].select(keys))
    assert not frames[0].equals(frames[1])
