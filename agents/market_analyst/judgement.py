"""What the Market Analyst makes of one bar: the chances of either direction, and its vote."""

from math import exp, sqrt
from typing import NamedTuple

from agents.assessment import Abstention, Assessment, Case
from agents.calibration import LOGIT_PER_VOLATILITY, log_odds, odds_moved
from agents.exposure import BASIS_POINTS, cost_bps
from agents.indicators import SENTIMENT
from agents.indicators.words import WORDS
from agents.model import PLACES, Model
from agents.scores import EVEN_CHANCE
from agents.sentiment.reading import LEXICON
from domain.settings import TradingSettings

EXPECTED_RETURN, DIRECTION = 0, 1
#: The model's constant that says what a trade must promise, in volatilities of the horizon.
HURDLE = "hurdle"


class Outlook(NamedTuple):
    """What the model says of one symbol's next days.

    Parameters
    ----------
    volatility
        Standard deviation of the return over the horizon.
    chance_up, chance_down
        Calibrated probabilities that a buy, or a sale, earns after the cost of getting in: that
        its experience's reward is positive. The usual drift is in them.
    cost
        Cost of getting in, in volatilities of the horizon.
    drivers
        Inputs that move the chances most: name and gradient × input, in log odds.
    """

    volatility: float
    chance_up: float
    chance_down: float
    cost: float
    drivers: list[tuple[str, float]]

    @property
    def lean(self) -> float:
        """Half the difference of the chances: above 0 a buy is the likelier to earn."""
        return (self.chance_up - self.chance_down) / 2.0

    @property
    def expected(self) -> float:
        """Return over the horizon, in volatilities, that has these odds (near even ones)."""
        return log_odds(EVEN_CHANCE + self.lean) / LOGIT_PER_VOLATILITY

    def edge(self, direction: int) -> float:
        """Return the expected gain after costs of a trade in `direction`, in volatilities."""
        return direction * self.expected - self.cost

    def chance(self, direction: int) -> float:
        """Return the probability that a trade in `direction` earns after costs."""
        return self.chance_up if direction > 0 else self.chance_down


def entry_cost(limits: TradingSettings, price: float) -> float:
    """Return what getting in costs a small trade, as a fraction of its value.

    It is what rewards are charged: the horizon's end is a mark, nothing is traded there.
    """
    return cost_bps(limits, price=price, daily_volatility=0.0, participation=0.0) / BASIS_POINTS


def outlook(
    model: Model, features: dict[str, float], price: float, limits: TradingSettings
) -> Outlook | None:
    """Return what the model says of a bar with these features; None where one is missing."""
    inputs = model.inputs_of(features)
    if inputs is None:
        return None
    direction = float(model.predict(inputs)[DIRECTION])
    specification = model.specification
    volatility = exp(features["log_volatility_ewma"]) * sqrt(specification.horizon_days)
    return Outlook(
        volatility=round(volatility, PLACES),
        chance_up=round(specification.calibrations["up"](direction), PLACES),
        chance_down=round(specification.calibrations["down"](-direction), PLACES),
        cost=round(entry_cost(limits, price) / volatility, PLACES),
        drivers=model.drivers(inputs, DIRECTION),
    )


def lean_of(model: Model, features: dict[str, float]) -> float | None:
    """Return the `Outlook.lean` of a bar with these features; None where one is missing."""
    inputs = model.inputs_of(features)
    if inputs is None:
        return None
    direction = float(model.predict(inputs)[DIRECTION])
    up, down = (model.specification.calibrations[name] for name in ("up", "down"))
    return (round(up(direction), PLACES) - round(down(-direction), PLACES)) / 2.0


def assess(model: Model, case: Case) -> Assessment | Abstention:
    """Judge a proposal by the chance that its direction earns the hurdle after costs.

    A trade that earns less than the hurdle would make what is traded worse by its Sharpe ratio
    (`training.hurdle_of`). Models without one ask whether the trade earns anything.
    """
    proposal = case.proposal
    features = case.features(proposal.symbol)
    if features is None:
        return Abstention(f"no bars of {proposal.symbol}")
    view = outlook(model, features, float(proposal.reference_price), case.limits)
    if view is None:
        return Abstention(f"history of {proposal.symbol} is too short for the features")
    edge, hurdle = view.edge(case.direction), model.specification.constants.get(HURDLE, 0.0)
    chance = odds_moved(view.chance(case.direction), -LOGIT_PER_VOLATILITY * hurdle)
    least = hurdle * view.volatility
    return Assessment(
        support=round(chance - EVEN_CHANCE, PLACES),
        chance=chance,
        rationale=(
            f"{proposal.action} earns {least * BASIS_POINTS:.0f} bps or more after costs with "
            f"{chance:.1%} ({edge:+.3f} volatilities expected); {described(view.drivers)}; "
            f"news tone {features[SENTIMENT]:+.2f} by the {LEXICON.name}."
        ),
        measures={
            "expected_return": view.expected * view.volatility,
            "edge_after_costs": edge,
            "chance_right": view.chance(case.direction),
            "horizon_volatility": view.volatility,
            **{f"driver_{name}": effect for name, effect in view.drivers},
        },
        bound=least,
    )


def described(drivers: list[tuple[str, float]]) -> str:
    """Return drivers as words: ``driven by RSI +0.031, 5-day return -0.012``."""
    return "driven by " + ", ".join(f"{WORDS[name]} {effect:+.3f}" for name, effect in drivers)
