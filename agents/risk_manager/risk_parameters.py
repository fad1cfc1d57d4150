"""Stop, take profit, trailing stop and time stop, from how far past trades went against and for.

Maximum adverse and maximum favourable excursion (Sweeney, 1996): every past bar is taken as an
entry in the trade's direction, held over the horizon, and measured in daily volatilities as
expected at entry. So what was measured in quiet times fits loud ones.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from agents.price_history import Floats, PriceHistory
from agents.risk_manager.filtered_returns import START_DAYS, filter_returns
from domain.errors import InvalidValue

#: Share of the winners that neither stop nor trailing stop takes out.
_KEPT_WINNERS = 0.90
#: Share of winners that reach the take profit, and that have peaked by the time stop.
_REACHED, _PEAKED = 0.50, 0.75
#: Fewest winning entries, counted without overlap, whose excursions are believed.
_FEWEST_WINNERS = 30
#: Distances in volatilities of the horizon where there are too few.
_USUAL_STOP, _USUAL_TARGET = 2.0, 1.0


class Excursions(NamedTuple):
    """What became of past entries, one value each; distances in daily volatilities at entry.

    Parameters
    ----------
    adverse, favourable
        Farthest against and for the trade, by lows and highs; never negative.
    outcome
        At the horizon's last close.
    peak_day
        Day, from 1, on which the favourable excursion was reached.
    """

    adverse: Floats
    favourable: Floats
    outcome: Floats
    peak_day: Floats


class RiskParameters(NamedTuple):
    """Where a position is closed; prices in the quote currency.

    Parameters
    ----------
    stop, take_profit
        Prices.
    trailing_distance
        Distance of the trailing stop from the best price since entry.
    time_stop_days
        Trading days after which a position that has come to nothing is closed.
    stop_distance
        Loss at the stop as a fraction of the entry price.
    basis
        ``excursions``, or ``volatility`` where too few past entries won.
    winners
        How many won.
    """

    stop: float
    take_profit: float
    trailing_distance: float
    time_stop_days: int
    stop_distance: float
    basis: str
    winners: int


def excursions(bars: PriceHistory, direction: int, horizon_days: int) -> Excursions:
    """Return the excursions of an entry at every close that the horizon follows.

    Raises
    ------
    InvalidValue
        If there are too few bars, prices aren't positive, or they don't move.
    """
    _check(bars, direction, horizon_days)
    returns = bars.close[1:] / bars.close[:-1] - 1.0
    filtered = filter_returns(returns[:, None])
    # Expected after close t, for every close from the filter's start on.
    expected = np.append(filtered.expected[:, 0], filtered.next_volatility)[:-horizon_days]
    entries = slice(START_DAYS, bars.length - horizon_days)
    entry = bars.close[entries]
    after = slice(START_DAYS + 1, None)
    highest = sliding_window_view(bars.high[after], horizon_days)
    lowest = sliding_window_view(bars.low[after], horizon_days)
    best, worst = (highest, lowest) if direction > 0 else (lowest, highest)
    moved = expected > 0
    unit = np.where(moved, expected, 1.0) * entry
    gains = direction * (best - entry[:, None])
    losses = direction * (entry[:, None] - worst)
    last = bars.close[START_DAYS + horizon_days :]
    return Excursions(
        *(
            column[moved]
            for column in (
                np.maximum(losses.max(axis=1), 0.0) / unit,
                np.maximum(gains.max(axis=1), 0.0) / unit,
                direction * (last - entry) / unit,
                gains.argmax(axis=1) + 1.0,
            )
        )
    )


def risk_parameters(
    past: Excursions,
    *,
    price: float,
    direction: int,
    daily_volatility: float,
    horizon_days: int,
) -> RiskParameters:
    """Return where to close a position entered at `price`.

    The stop lies beyond the adverse excursion of nine tenths of the winners; the take profit
    where half of them got; the trailing stop gives back what nine tenths of the winners gave back
    from their peak; three quarters of them had peaked by the time stop.

    Raises
    ------
    InvalidValue
        If price or volatility isn't positive.
    """
    if not (price > 0 and 0 < daily_volatility < 1 and direction in (1, -1)):
        raise InvalidValue(
            f"No stop follows from a price of {price} and a volatility of {daily_volatility}.",
            next_step="Give a traded symbol whose price moves.",
        )
    won = past.outcome > 0
    winners = int(won.sum())
    if winners >= _FEWEST_WINNERS * horizon_days:
        stop = float(np.quantile(past.adverse[won], _KEPT_WINNERS))
        target = float(np.quantile(past.favourable[won], 1.0 - _REACHED))
        given_back = past.favourable[won] - past.outcome[won]
        trailing = float(np.quantile(given_back, _KEPT_WINNERS))
        days = int(np.ceil(np.quantile(past.peak_day[won], _PEAKED)))
        basis = "excursions"
    else:
        stop = trailing = _USUAL_STOP * sqrt(horizon_days)
        target, days, basis = _USUAL_TARGET * sqrt(horizon_days), horizon_days, "volatility"
    # A stop within a day's usual noise is hit by chance; none lies at or below zero.
    lost = min(max(stop, 1.0) * daily_volatility, 0.99)
    gained = target * daily_volatility if direction > 0 else min(target * daily_volatility, 0.99)
    return RiskParameters(
        stop=price * (1.0 - direction * lost),
        take_profit=price * (1.0 + direction * gained),
        trailing_distance=price * min(max(trailing, 1.0) * daily_volatility, 0.99),
        time_stop_days=days,
        stop_distance=lost,
        basis=basis,
        winners=winners,
    )


def _check(bars: PriceHistory, direction: int, horizon_days: int) -> None:
    if direction not in (1, -1) or horizon_days < 1:
        raise InvalidValue(
            f"Direction {direction} over {horizon_days} days is no trade.",
            next_step="Use 1 or -1, and at least one day.",
        )
    prices = np.stack(bars.prices()[:4])
    if not (np.isfinite(prices).all() and (prices > 0).all()):
        raise InvalidValue("A price is not positive.", next_step="Run the quality checks.")
    if bars.length < START_DAYS + 2 + horizon_days + 1:
        raise InvalidValue(
            f"{bars.length} bars are too few for excursions over {horizon_days} days.",
            next_step="Give more history.",
        )
    if not (bars.close != bars.close[0]).any():
        raise InvalidValue("The price never moved.", next_step="Trade a symbol that moves.")
