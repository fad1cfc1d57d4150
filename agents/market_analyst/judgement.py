"""What the Market Analyst makes of one bar: expected return, chances, and its vote."""

from math import exp, sqrt
from typing import NamedTuple

from agents.assessment import Abstention, Assessment, Case
from agents.exposure import BASIS_POINTS, cost_bps
from agents.model import PLACES, Model
from domain.settings import TradingSettings

EXPECTED_RETURN, DIRECTION = 0, 1


class Outlook(NamedTuple):
    """What the model says of one symbol's next days.

    Parameters
    ----------
    expected
        Expected return over the horizon beyond the usual drift, in volatilities of the horizon.
    volatility
        Standard deviation of the return over the horizon.
    chance_up, chance_down
        Calibrated probabilities that a buy, or a sale, earns after costs.
    cost
        Cost of trading in and out, in volatilities of the horizon.
    drivers
        Inputs that move the expectation most: name and gradient × input.
    """

    expected: float
    volatility: float
    chance_up: float
    chance_down: float
    cost: float
    drivers: list[tuple[str, float]]

    def edge(self, direction: int) -> float:
        """Return the expected gain after costs of a trade in `direction`, in volatilities."""
        return direction * self.expected - self.cost

    def chance(self, direction: int) -> float:
        """Return the probability that a trade in `direction` earns after costs."""
        return self.chance_up if direction > 0 else self.chance_down


def round_trip_cost(limits: TradingSettings, price: float) -> float:
    """Return the cost of a small trade in and out, as a fraction of its value."""
    one_way = cost_bps(limits, price=price, daily_volatility=0.0, participation=0.0)
    return 2.0 * one_way / BASIS_POINTS


def outlook(
    model: Model, features: dict[str, float], price: float, limits: TradingSettings
) -> Outlook | None:
    """Return what the model says of a bar with these features; None where one is missing."""
    inputs = model.inputs_of(features)
    if inputs is None:
        return None
    outputs = model.predict(inputs)
    specification = model.specification
    volatility = exp(features["log_volatility_ewma"]) * sqrt(specification.horizon_days)
    return Outlook(
        expected=round(
            specification.calibrations["expected"](float(outputs[EXPECTED_RETURN])), PLACES
        ),
        volatility=round(volatility, PLACES),
        chance_up=round(specification.calibrations["up"](float(outputs[DIRECTION])), PLACES),
        chance_down=round(specification.calibrations["down"](-float(outputs[DIRECTION])), PLACES),
        cost=round(round_trip_cost(limits, price) / volatility, PLACES),
        drivers=model.drivers(inputs, EXPECTED_RETURN),
    )


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by its expected gain after costs; the chance is that of its direction."""
    proposal = case.proposal
    features = case.features(proposal.symbol)
    if features is None:
        return Abstention(f"no bars of {proposal.symbol}")
    view = outlook(model, features, float(proposal.reference_price), case.limits)
    if view is None:
        return Abstention(f"history of {proposal.symbol} is too short for the features")
    edge, chance = view.edge(case.direction), view.chance(case.direction)
    return Assessment(
        support=edge,
        chance=chance,
        rationale=(
            f"{proposal.action} earns {edge:+.3f} volatilities after costs, "
            f"right with {chance:.1%}; {described(view.drivers)}."
        ),
        measures={
            "expected_return": view.expected * view.volatility,
            "edge_after_costs": edge,
            "chance_right": chance,
            "horizon_volatility": view.volatility,
            **{f"driver_{name}": effect for name, effect in view.drivers},
        },
    )


def described(drivers: list[tuple[str, float]]) -> str:
    """Return drivers as words: ``driven by rsi_14 +0.031, return_5 -0.012``."""
    return "driven by " + ", ".join(f"{name} {effect:+.3f}" for name, effect in drivers)
