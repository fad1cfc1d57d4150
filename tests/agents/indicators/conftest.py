"""Histories that formulas are tried on: real walks, ties, runs without change or volume."""

import numpy as np
import pytest
from hypothesis import strategies as st

from agents.price_history import PriceHistory

QUARTER_DAY = 21_600_000_000


def history_of(close, width, volume, gaps=0.0):
    """Return bars that open at the close before (plus `gaps`) and reach `width` beyond both."""
    opened = np.concatenate([close[:1], close[:-1]]) * (1.0 + gaps)
    return PriceHistory(
        np.arange(1, len(close) + 1) * QUARTER_DAY,
        opened,
        np.maximum(opened, close) + width,
        np.maximum(np.minimum(opened, close) - width, 1e-3),
        close,
        volume,
    )


def walk(length, seed=0, price=100.0, volatility=0.01):
    random = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(volatility * random.standard_normal(length)))
    width = price * volatility * random.random(length)
    volume = np.round(1e6 * np.exp(random.standard_normal(length)))
    return history_of(close, width, volume, 0.3 * volatility * random.standard_normal(length))


def ticks(length, seed=0):
    """Prices on a coarse grid: equal closes, equal highs, bars without range, no volume."""
    random = np.random.default_rng(seed)
    close = np.maximum(50.0 + np.cumsum(random.integers(-1, 2, length)) * 0.25, 1.0)
    return history_of(
        close, 0.25 * random.integers(0, 2, length), 100.0 * random.integers(0, 3, length)
    )


def constant(length, price=10.1):
    return history_of(np.full(length, price), 0.0, np.zeros(length))


def cut(history, length):
    return PriceHistory(*(column[:length] for column in history))


@st.composite
def histories(draw, longest=420):
    length = draw(st.integers(2, longest))
    seed = draw(st.integers(0, 2**32 - 1))
    match draw(st.sampled_from(["walk", "ticks", "constant"])):
        case "walk":
            price, volatility = draw(st.sampled_from([0.5, 40.0, 9e4])), draw(st.floats(1e-4, 0.08))
            return walk(length, seed, price, volatility)
        case "ticks":
            return ticks(length, seed)
        case _:
            return constant(length, draw(st.floats(0.01, 1e5)))


@pytest.fixture(scope="session")
def kinds():
    """Return each kind of history, long."""
    return {"walk": walk(2500, 1), "ticks": ticks(2500, 1), "constant": constant(400)}
