from datetime import timedelta

import numpy as np

from agents.market_analyst.regime import volatility_regime
from agents.price_history import PriceHistory


def walk(volatilities, seed=1):
    shocks = np.random.default_rng(seed).standard_normal(len(volatilities))
    close = 100 * np.exp(np.cumsum(volatilities * shocks))
    times = np.arange(len(close)) * 86_400_000_000
    return PriceHistory(times, close, close * 1.01, close * 0.99, close, np.full(len(close), 1e6))


def test_a_jump_in_volatility_is_turbulent_and_its_end_calm():
    stormy = walk(np.r_[np.full(300, 0.01), np.full(30, 0.04)])
    still = walk(np.r_[np.full(300, 0.02), np.full(60, 0.004)])
    assert volatility_regime(stormy).name == "turbulent"
    assert volatility_regime(still).name == "calm"


def test_only_the_past_is_read(view, until):
    history = view.history("AAA", until)
    longer = view.history("AAA", until + timedelta(days=9))
    shortened = PriceHistory(*(column[: history.length] for column in longer))
    assert volatility_regime(shortened) == volatility_regime(history)


def test_short_history_has_no_regime():
    assert volatility_regime(walk(np.full(50, 0.01))) is None
