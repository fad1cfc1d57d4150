"""Value at risk by six methods over one and ten days, how it splits, and its back-test."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

import numpy as np

from agents.price_history import Floats
from agents.risk_manager.filtered_returns import simulate_days
from agents.risk_manager.filtered_value_at_risk import (
    LEVEL,
    WINDOW,
    backtest,
    filtered_value_at_risk,
)
from agents.risk_manager.monte_carlo_value_at_risk import (
    SimulatedRisk,
    simulate_losses,
    simulated,
)
from agents.risk_manager.parametric_value_at_risk import (
    cornish_fisher,
    fit_degrees_of_freedom,
    moments,
    normal,
    normal_contributions,
    student_t,
)
from agents.risk_manager.portfolio_risk import RiskInputs, deviation
from agents.risk_manager.value_at_risk import (
    Contributions,
    TailRisk,
    historical,
    shortfall_contributions,
)
from agents.risk_manager.var_backtest import Backtest
from domain.errors import InvalidValue

TEN_DAYS = 10
_SCENARIOS = 20_000
_PATHS = 5_000


class Method(StrEnum):
    """How a value at risk is come by."""

    HISTORICAL = "historical"
    FILTERED_HISTORICAL = "filtered_historical"
    NORMAL = "normal"
    STUDENT_T = "student_t"
    CORNISH_FISHER = "cornish_fisher"
    MONTE_CARLO = "monte_carlo"


@dataclass(frozen=True)
class RiskReport:
    """What a portfolio may lose.

    Parameters
    ----------
    one_day, ten_days
        VaR and expected shortfall by method; Cornish–Fisher is missing where its expansion is no
        distribution.
    monte_carlo
        The simulated one-day figures with their errors.
    contributions
        Of the symbols to the normal VaR and to the filtered expected shortfall.
    incremental
        What the trade adds to the filtered one-day figures.
    backtest
        Of the filtered VaR on this portfolio; None where history is too short.
    """

    level: float
    symbols: tuple[str, ...]
    one_day: Mapping[Method, TailRisk]
    ten_days: Mapping[Method, TailRisk]
    monte_carlo: SimulatedRisk
    value_at_risk_contributions: Contributions
    shortfall_contributions: Contributions
    incremental: TailRisk
    backtest: Backtest | None


def risk_report(
    before: Floats, after: Floats, inputs: RiskInputs, *, level: float = LEVEL, seed: int = 0
) -> RiskReport | None:
    """Return what the portfolio `after` the trade may lose; None where it holds no risk.

    Over ten days: overlapping compound returns (historical), simulated paths whose volatility
    moves (filtered), independent days (parametric and Monte Carlo: √10 times the deviation,
    skewness shrinking by √10 and excess kurtosis by 10).

    Parameters
    ----------
    before, after
        Weights in the order of the inputs' symbols.
    seed
        Of what is simulated.
    """
    sigma = deviation(after, inputs)
    if sigma == 0.0:
        return None
    scenarios = inputs.filtered.scenarios()[-WINDOW:]
    simulated_one = simulated(_simulate(after, inputs, seed), level)
    new, old = (filtered_value_at_risk(each, inputs.filtered, level) for each in (after, before))
    return RiskReport(
        level=level,
        symbols=inputs.symbols,
        one_day={
            Method.HISTORICAL: historical(-(inputs.returns @ after), level),
            Method.FILTERED_HISTORICAL: new,
            **_parametric(after, inputs, 1, level),
            Method.MONTE_CARLO: simulated_one.risk,
        },
        ten_days={
            **_overlapping(after, inputs, level),
            Method.FILTERED_HISTORICAL: historical(
                -(simulate_days(inputs.filtered, TEN_DAYS, paths=_PATHS, seed=seed) @ after), level
            ),
            **_parametric(after, inputs, TEN_DAYS, level),
            Method.MONTE_CARLO: historical(
                np.sum([_simulate(after, inputs, seed + day) for day in range(TEN_DAYS)], axis=0),
                level,
            ),
        },
        monte_carlo=simulated_one,
        value_at_risk_contributions=normal_contributions(
            after, inputs.correlation * np.outer(inputs.volatilities, inputs.volatilities), level
        ),
        shortfall_contributions=shortfall_contributions(after, scenarios, level),
        incremental=TailRisk(
            new.value_at_risk - old.value_at_risk, new.expected_shortfall - old.expected_shortfall
        ),
        backtest=backtest(after, inputs.returns, inputs.filtered),
    )


def _parametric(
    weights: Floats, inputs: RiskInputs, days: int, level: float
) -> dict[Method, TailRisk]:
    sigma = deviation(weights, inputs) * sqrt(days)
    past = inputs.filtered.scenarios()[-WINDOW:] @ weights
    found = {Method.NORMAL: normal(0.0, sigma, level)}
    if past.std() == 0.0:
        return found
    # A sum of n independent t's is close to a t whose excess kurtosis is a n-th: ν → 4 + n (ν - 4).
    nu = fit_degrees_of_freedom(past)
    summed = nu if days == 1 or nu <= 4 else 4 + days * (nu - 4)
    found[Method.STUDENT_T] = student_t(0.0, sigma, summed, level)
    skewness, excess = moments(past)
    try:
        found[Method.CORNISH_FISHER] = cornish_fisher(
            0.0, sigma, skewness / sqrt(days), excess / days, level
        )
    except InvalidValue:
        # The method says itself that it doesn't apply to such moments; the report leaves it out.
        return found
    return found


def _overlapping(weights: Floats, inputs: RiskInputs, level: float) -> dict[Method, TailRisk]:
    if len(inputs.returns) < 2 * TEN_DAYS:
        return {}
    wealth = np.cumprod(np.vstack([np.ones(len(weights)), 1.0 + inputs.returns]), axis=0)
    compound = wealth[TEN_DAYS:] / wealth[:-TEN_DAYS] - 1.0
    return {Method.HISTORICAL: historical(-(compound @ weights), level)}


def _simulate(weights: Floats, inputs: RiskInputs, seed: int) -> Floats:
    standardised = inputs.filtered.standardised[-WINDOW:]
    degrees = np.array(
        [
            fit_degrees_of_freedom(column) if column.std() > 0 else np.inf
            for column in standardised.T
        ]
    )
    return simulate_losses(
        weights * inputs.volatilities,
        inputs.correlation,
        copula_degrees=float(np.median(degrees)),
        marginal_degrees=degrees,
        scenarios=_SCENARIOS,
        seed=seed,
    )
