from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.verdicts import executing_proved_right, proved_right
from domain.experience import Experience
from domain.voting import Action, AgentId, Outcome

ANALYST, RISK, OPTIMIZER, EXECUTION = (
    AgentId.MARKET_ANALYST,
    AgentId.RISK_MANAGER,
    AgentId.PORTFOLIO_OPTIMIZER,
    AgentId.EXECUTION,
)


def lived(reward="0.01", bounds=None, realised=None):
    return Experience(
        message_id="e",
        correlation_id="",
        occurred_at=datetime(2020, 1, 1, tzinfo=UTC),
        decision_id="d",
        symbol="AAA",
        state={},
        action=Action.SELL,
        outcome=Outcome.REJECT,
        reward=Decimal(reward),
        next_state={},
        horizon_days=5,
        agent_contributions={},
        scores={},
        confidences_ppm={},
        bounds={str(agent): Decimal(bound) for agent, bound in (bounds or {}).items()},
        realised={name: Decimal(value) for name, value in (realised or {}).items()},
    )


@pytest.mark.parametrize(
    ("agent", "experience", "right"),
    [
        (ANALYST, lived("0.0001"), True),
        (ANALYST, lived("0"), False),
        (ANALYST, lived("-0.02"), False),
        (OPTIMIZER, lived("-0.001", {OPTIMIZER: "-0.002"}), True),
        (OPTIMIZER, lived("0.001", {OPTIMIZER: "0.002"}), False),
        (RISK, lived(bounds={RISK: "0.02"}, realised={"volatility": "0.02"}), True),
        (RISK, lived(bounds={RISK: "0.02"}, realised={"volatility": "0.021"}), False),
        (EXECUTION, lived(bounds={EXECUTION: "0.0004"}, realised={"entry_cost": "0.0003"}), True),
        (EXECUTION, lived(bounds={EXECUTION: "0.0002"}, realised={"entry_cost": "0.0003"}), False),
    ],
)
def test_each_agent_is_measured_by_its_own_question(agent, experience, right):
    assert executing_proved_right(agent, experience) is right
    assert proved_right(agent, 75, experience) is right
    assert proved_right(agent, 74, experience) is not right


@pytest.mark.parametrize("agent", [RISK, OPTIMIZER, EXECUTION])
def test_a_fact_without_a_bound_is_not_judged(agent):
    assert proved_right(agent, 80, lived(realised={"volatility": "1"})) is None


@pytest.mark.parametrize("agent", [RISK, EXECUTION, "somebody"])
def test_what_is_not_known_is_not_judged(agent):
    assert proved_right(agent, 80, lived(bounds={agent: "0.1"})) is None
