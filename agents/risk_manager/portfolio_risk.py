"""What a portfolio is measured with: history, forecasts, and the limited figures from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from agents.assessment import Abstention, Case
from agents.model import Model
from agents.price_history import Floats, Microseconds
from agents.risk_manager.correlation import clusters, shrunk_correlation
from agents.risk_manager.exposure_limits import Limit
from agents.risk_manager.filtered_returns import FilteredReturns, filter_returns
from agents.risk_manager.filtered_value_at_risk import (
    DAYS,
    LEVEL,
    TESTED_DAYS,
    WINDOW,
    filtered_value_at_risk,
)
from agents.risk_manager.parametric_value_at_risk import normal
from agents.risk_manager.portfolio_exposure import (
    UNCLASSIFIED,
    beta,
    cluster_exposures,
    liquidation_days,
    sector_exposures,
)
from agents.risk_manager.value_at_risk import TailRisk

#: Days of returns below which there is no say.
FEWEST_DAYS = 40
#: Symbols up to which a portfolio is measured: their correlations have to fit into memory.
MOST_SYMBOLS = 2_000
#: Bars of its own that a symbol may have between the tested days, when others did not trade.
_OWN_DAYS = 10


@dataclass(frozen=True)
class RiskInputs:
    """What is known of a portfolio's symbols before the proposal's bar.

    Parameters
    ----------
    returns
        Simple daily returns, days that all traded × symbols, newest last.
    filtered
        The same, standardised by their exponentially weighted volatility. What is expected for
        the days of the back-test, and for tomorrow, is the model's forecast.
    correlation
        Shrunk, of the newest standardised returns.
    clusters
        Groups of symbols that move together.
    volatilities
        The model's forecasts of daily volatility.
    daily_values
        Usual value traded a day, by symbol.
    betas
        On the market symbol; None where none is set or known.
    """

    symbols: tuple[str, ...]
    returns: Floats
    filtered: FilteredReturns
    correlation: Floats
    clusters: list[tuple[str, ...]]
    volatilities: Floats
    daily_values: Mapping[str, float]
    betas: Floats | None

    def vector(self, weights: Mapping[str, float]) -> Floats:
        """Return the weights in the order of the symbols."""
        return np.array([weights.get(symbol, 0.0) for symbol in self.symbols])


def forecast_volatilities(model: Model, case: Case, symbols: list[str]) -> dict[str, float]:
    """Return the model's forecast of daily volatility, for each symbol that has all features."""
    rows: dict[str, Floats] = {}
    for symbol in symbols:
        features = case.features(symbol) if symbol in case.view.symbols else None
        inputs = None if features is None else model.inputs_of(features)
        if inputs is not None:
            rows[symbol] = inputs
    if not rows:
        return {}
    log_variances = model.predict(np.stack(list(rows.values())))[:, 0]
    return {
        symbol: sqrt(exp(value)) for symbol, value in zip(rows, log_variances.tolist(), strict=True)
    }


#: A day's return beyond which a split is looked for; the smallest, 3 for 2, takes a third away.
_UNUSUAL = 0.25


def risk_inputs(model: Model, case: Case, weights: Mapping[str, float]) -> RiskInputs | Abstention:
    """Return what risk is measured from for the symbols of `weights` and the proposal's."""
    symbols = sorted({*weights, case.proposal.symbol})
    if len(symbols) > MOST_SYMBOLS:
        return Abstention(f"{len(symbols)} symbols held, {MOST_SYMBOLS} can be measured")
    forecasts = forecast_volatilities(model, case, symbols)
    for symbol in symbols:
        if symbol not in forecasts:
            return Abstention(f"history of {symbol} is too short for a volatility forecast")
    times, returns = case.view.dated_returns(symbols, case.at, DAYS)
    if len(returns) < FEWEST_DAYS:
        return Abstention(f"only {len(returns)} common days of returns, {FEWEST_DAYS} needed")
    unusable = _unusable(case, symbols, returns)
    if unusable:
        return Abstention(unusable)
    filtered = filter_returns(returns)
    tomorrow = np.array([forecasts[symbol] for symbol in symbols])
    expected = _past_forecasts(model, case, symbols, times, filtered.expected)
    filtered = filtered._replace(expected=expected, next_volatility=tomorrow)
    correlation = shrunk_correlation(filtered.standardised[-WINDOW:]).correlation
    return RiskInputs(
        symbols=tuple(symbols),
        returns=returns,
        filtered=filtered,
        correlation=correlation,
        clusters=[
            tuple(symbols[place] for place in group)
            for group in clusters(correlation, case.limits.cluster_correlation)
        ],
        volatilities=tomorrow,
        daily_values={symbol: _daily_value(case, symbol) for symbol in symbols},
        betas=_betas(case, symbols),
    )


def _unusable(case: Case, symbols: list[str], returns: Floats) -> str:
    """Return why no risk can be measured from these returns; empty where it can."""
    if not np.isfinite(returns).all():
        return "a past return is not finite"
    if max(-returns.min(), returns.max()) > _UNUSUAL:
        for symbol in symbols:
            if case.view.history(symbol, case.at, inclusive=False).last(DAYS).split_steps().any():
                return f"prices of {symbol} are not adjusted for a split"
    if not returns[:, symbols.index(case.proposal.symbol)].any():
        return f"the price of {case.proposal.symbol} never moved"
    return ""


def _past_forecasts(
    model: Model, case: Case, symbols: list[str], times: Microseconds, expected: Floats
) -> Floats:
    """Return `expected` with the model's forecasts on the days of the back-test.

    A forecast stands for the day after its bar. Where features were not known, what the filter
    expected remains.
    """
    tested = min(TESTED_DAYS, len(expected))
    days, result = times[-tested:], expected.copy()
    for place, symbol in enumerate(symbols):
        bars, outputs = case.view.past_outputs(model, symbol, case.at, tested + _OWN_DAYS)
        at = np.searchsorted(bars, days)
        log_variance = np.append(outputs[:, 0], np.nan)[at]
        known = (np.append(bars, -1)[at] == days) & np.isfinite(log_variance)
        result[-tested:, place][known] = np.exp(0.5 * log_variance[known])
    return result


def _daily_value(case: Case, symbol: str) -> float:
    history = case.view.history(symbol, case.at, inclusive=symbol == case.proposal.symbol)
    return exp(history.usual_log_volume()) * float(history.close[-1])


def _betas(case: Case, symbols: list[str]) -> Floats | None:
    market = case.limits.market_symbol
    if not market or market not in case.view.symbols:
        return None
    others = [symbol for symbol in symbols if symbol != market]
    returns = case.view.returns([*others, market], case.at, DAYS)
    if len(returns) < FEWEST_DAYS or not (returns[:, -1] != returns[0, -1]).any():
        return None
    slopes = dict(zip([*others, market], beta(returns, returns[:, -1]).tolist(), strict=True))
    return np.array([slopes[symbol] for symbol in symbols])


def deviation(weights: Floats, inputs: RiskInputs) -> float:
    """Return the portfolio's daily volatility: forecast volatilities, shrunk past correlations."""
    exposures = weights * inputs.volatilities
    return sqrt(max(float(exposures @ inputs.correlation @ exposures), 0.0))


def worst_risk(weights: Floats, inputs: RiskInputs) -> TailRisk:
    """Return the larger of two 99 % VaRs and of their expected shortfalls, at least 0.

    Filtered historical simulation at the model's forecasts, and the normal one at the same,
    for tails thinner than they may be. The larger is exceeded only on days on which the filtered
    one is, so the back-test of that one bounds it.
    """
    volatility = deviation(weights, inputs)
    if volatility == 0.0:
        return TailRisk(0.0, 0.0)
    both = (filtered_value_at_risk(weights, inputs.filtered), normal(0.0, volatility, LEVEL))
    return TailRisk(
        max(0.0, *(risk.value_at_risk for risk in both)),
        max(0.0, *(risk.expected_shortfall for risk in both)),
    )


def risk_figures(
    weights: Mapping[str, float], risk: TailRisk, inputs: RiskInputs, case: Case
) -> dict[Limit, float]:
    """Return every limited figure of a portfolio that can be measured; beta needs a market.

    `LIQUIDATION_DAYS` and `POSITION_FRACTION` are of the proposal's symbol.
    """
    limits, symbol = case.limits, case.proposal.symbol
    held = weights.get(symbol, 0.0)
    sectors = sector_exposures(weights, limits.sectors)
    sectors.pop(UNCLASSIFIED, None)
    together = cluster_exposures(weights, inputs.clusters)
    figures = {
        Limit.POSITION_FRACTION: abs(held),
        Limit.GROSS_EXPOSURE: sum(map(abs, weights.values())),
        Limit.SECTOR_EXPOSURE: max((gross for gross, _ in sectors.values()), default=0.0),
        Limit.CLUSTER_EXPOSURE: together[0].gross if together else 0.0,
        Limit.LIQUIDATION_DAYS: days_to_sell({symbol: held}, inputs, case)[symbol],
        Limit.VALUE_AT_RISK: risk.value_at_risk,
        Limit.EXPECTED_SHORTFALL: risk.expected_shortfall,
    }
    if inputs.betas is not None:
        figures[Limit.BETA] = abs(float(inputs.vector(weights) @ inputs.betas))
    return figures


def days_to_sell(weights: Mapping[str, float], inputs: RiskInputs, case: Case) -> dict[str, float]:
    """Return the days that each position takes to be sold; 0 without equity to hold any."""
    equity = float(case.proposal.portfolio.equity)
    if equity <= 0:
        return dict.fromkeys(weights, 0.0)
    return liquidation_days(
        weights,
        inputs.daily_values,
        equity=equity,
        participation=float(case.limits.maximum_participation_rate),
    )
