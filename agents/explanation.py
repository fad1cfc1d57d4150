"""What moves a learned forecast behind a vote, in words and as numbers."""

from agents.assessment import Abstention, Assessment, Case
from agents.market_analyst.judgement import described
from agents.model import OUTPUTS, Model
from domain.voting import AgentId

#: Agent → the output that its vote rests on, and what a trader calls it. The Market Analyst tells
#: its drivers itself, for they are the odds that it votes with.
_FORECASTS: dict[AgentId, tuple[str, str]] = {
    AgentId.RISK_MANAGER: ("log_variance", "volatility forecast"),
    AgentId.PORTFOLIO_OPTIMIZER: ("preference", "tilt of the target weight"),
    AgentId.EXECUTION: ("log_relative_volume", "volume forecast"),
}


def explained(
    judgement: Assessment | Abstention, model: Model, case: Case
) -> Assessment | Abstention:
    """Return a judgement with the attributions of the learned forecast that it rests on.

    They are gradient × distance from the training mean, in the output's logarithms. A classic
    policy is its own formula, so nothing is added to what was made by one.
    """
    agent = model.specification.agent
    if isinstance(judgement, Abstention) or agent not in _FORECASTS:
        return judgement
    features = case.features(case.proposal.symbol)
    inputs = None if features is None else model.inputs_of(features)
    if inputs is None or not model.network.hidden_units:
        return judgement
    output, name = _FORECASTS[agent]
    drivers = model.drivers(inputs, OUTPUTS[agent].index(output))
    return judgement._replace(
        rationale=f"{judgement.rationale} The learned {name} is {described(drivers)}.",
        measures={
            **judgement.measures,
            **{f"driver_{name}": effect for name, effect in drivers},
        },
    )
