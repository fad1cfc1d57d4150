"""Charts with planted patterns: straight legs between given turns, and a little noise."""

from itertools import pairwise

import numpy as np

from agents.price_history import PriceHistory

DAY = 86_400_000_000


def bars_of(close, width=0.4):
    """Return bars around closes; `width` is how far high and low reach beyond open and close."""
    close = np.asarray(close, float)
    opened = np.concatenate([close[:1], close[:-1]])
    return PriceHistory(
        np.arange(1, len(close) + 1) * DAY,
        opened,
        np.maximum(opened, close) + width,
        np.minimum(opened, close) - width,
        close,
        np.full(len(close), 1e6),
    )


def legs(*turns, bars=12, flat=30, noise=0.05, seed=0):
    """Return bars that stand still at the first turn, then go straight from each to the next."""
    path = [np.full(flat, float(turns[0]))]
    for start, end in pairwise(turns):
        path.append(np.linspace(start, end, bars + 1)[1:])
    close = np.concatenate(path)
    return bars_of(close + noise * np.random.default_rng(seed).standard_normal(len(close)))


def bar_at(history, time):
    return int(np.searchsorted(history.times, time))


def upside_down(history, around=200.0):
    """Return the history mirrored: highs become lows."""
    return PriceHistory(
        history.times,
        around - history.open,
        around - history.low,
        around - history.high,
        around - history.close,
        history.volume,
    )


def random_walk(length, seed=0, volatility=0.012):
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(volatility * random.standard_normal(length)))
    return bars_of(close, 0.4 * close * volatility * random.random(length))
