"""The value at risk that votes are cast on, and its back-test on the same portfolio.

Filtered historical simulation: the past days' standardised returns at tomorrow's expected
volatilities. The back-test asks of each of the last 250 days what the same code would have said of
the same weights the day before.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from agents.price_history import Floats
from agents.risk_manager.filtered_returns import START_DAYS, FilteredReturns
from agents.risk_manager.value_at_risk import TailRisk, historical, quantile_index
from agents.risk_manager.var_backtest import (
    Backtest,
    conditional_coverage,
    coverage,
    independence,
    shortfall_test,
    traffic_light,
)

LEVEL = 0.99
#: Level at which expected shortfall is back-tested: that of the Basel Committee (2019).
SHORTFALL_LEVEL = 0.975
#: Scenarios that a forecast is made of.
WINDOW = 500
#: Days that it is held against what came: the Basel Committee's year.
TESTED_DAYS = 250
#: Fewest scenarios of a back-tested forecast.
FEWEST_SCENARIOS = 100
#: Scenarios that are enough to see that most days are no exception.
_PART = 100
#: Days of returns that a forecast and its back-test read.
DAYS = START_DAYS + WINDOW + TESTED_DAYS


def filtered_value_at_risk(
    weights: Floats, filtered: FilteredReturns, level: float = LEVEL
) -> TailRisk:
    """Return VaR and expected shortfall for tomorrow from the newest `WINDOW` scenarios."""
    newest = filtered.standardised[-WINDOW:]
    return historical(-(newest @ (weights * filtered.next_volatility)), level)


def backtest(weights: Floats, returns: Floats, filtered: FilteredReturns) -> Backtest | None:
    """Return how the forecasts of the last `TESTED_DAYS` days did; None where history is short.

    Parameters
    ----------
    weights
        Fraction of equity per asset, as held now.
    returns
        The days × assets that `filtered` was made from; its `expected` are the forecasts that
        are put to the test.
    """
    window = min(WINDOW, len(filtered.standardised) - TESTED_DAYS)
    if window < FEWEST_SCENARIOS:
        return None
    first = len(filtered.standardised) - TESTED_DAYS
    exposures = filtered.expected[first:] * weights
    every = -(exposures @ filtered.standardised[first - window : -1].T)
    # Day d may see the `window` scenarios before it: a band along the diagonal of all products.
    row, column = every.strides
    simulated = as_strided(every, (TESTED_DAYS, window), (row + column, column), writeable=False)
    came = -(returns[-TESTED_DAYS:] @ weights)

    # A loss is beyond the forecast where too few scenarios reach it: no quantile is sought. Most
    # are reached by more of a part of them already.
    deep_at = window - 1 - quantile_index(window, SHORTFALL_LEVEL)
    part = np.count_nonzero(simulated[:, :_PART] >= came[:, None], axis=1)
    near = np.flatnonzero(part <= deep_at)
    reaching = np.full(TESTED_DAYS, window)
    reaching[near] = np.count_nonzero(simulated[near] >= came[near, None], axis=1)
    exceptions = reaching <= window - 1 - quantile_index(window, LEVEL)
    deep = np.flatnonzero(reaching <= deep_at)
    # Only days beyond the forecast enter the test of expected shortfall.
    forecasts = np.full((2, TESTED_DAYS), np.inf)
    for day in deep.tolist():
        forecasts[:, day] = historical(simulated[day], SHORTFALL_LEVEL)
    covered, apart = coverage(exceptions, 1.0 - LEVEL), independence(exceptions)
    return Backtest(
        TESTED_DAYS,
        covered,
        apart,
        conditional_coverage(covered, apart),
        traffic_light(covered.breaches, TESTED_DAYS, 1.0 - LEVEL),
        shortfall_test(came, forecasts[0], forecasts[1], 1.0 - SHORTFALL_LEVEL),
    )
