import numpy as np
import pytest

from agents.indicators import volatility
from agents.price_history import PriceHistory
from tests.agents.indicators.conftest import constant, walk

YEAR = 252


def brownian(sigma, days, steps=400, seed=3):
    """Bars of a Brownian motion seen at `steps` instants a day, without overnight moves."""
    random = np.random.default_rng(seed)
    paths = np.cumsum(sigma / np.sqrt(steps) * random.standard_normal(days * steps))
    paths = np.exp(paths.reshape(days, steps))
    opened = np.concatenate([[1.0], paths[:-1, -1]])
    high = np.maximum(paths.max(axis=1), opened)
    low = np.minimum(paths.min(axis=1), opened)
    return PriceHistory(np.arange(days), opened, high, low, paths[:, -1], np.ones(days))


@pytest.mark.parametrize("name", list(volatility.ESTIMATORS))
def test_each_finds_the_volatility_of_a_brownian_motion(name):
    estimate, look_back, _ = volatility.ESTIMATORS[name]
    found = estimate(brownian(0.02, 3000), 21)
    assert np.isnan(found[:look_back]).all()
    # Seen at 400 instants a day, the range misses about 4 % of the volatility.
    assert np.sqrt(np.nanmean(found**2)) == pytest.approx(0.02, rel=0.06)


def test_ranges_are_far_more_certain_than_closes():
    """Efficiency: Parkinson 4.9, Garman and Klass 7.4 (variance of the variance, their papers)."""
    bars = brownian(0.02, 4200)
    spread = {
        name: np.var(estimate(bars, 21)[41::21] ** 2)
        / np.mean(estimate(bars, 21)[41::21] ** 2) ** 2
        for name, (estimate, _, _) in volatility.ESTIMATORS.items()
    }
    assert spread["close"] / spread["parkinson"] == pytest.approx(4.9, rel=0.3)
    assert spread["close"] / spread["garman_klass"] == pytest.approx(7.4, rel=0.3)
    assert spread["close"] / spread["yang_zhang"] > 5


def test_values_are_the_formulas():
    bars = walk(60, 8)
    last = slice(-21, None)
    opened, high, low, close = (np.log(column) for column in bars.prices()[:4])
    returns, overnight = np.diff(close)[last], (opened[1:] - close[:-1])[last]
    move, up, down = (column[last] - opened[last] for column in (close, high, low))
    assert volatility.closes(bars, 21)[-1] == pytest.approx(returns.std(ddof=1), rel=1e-9)
    parkinson = ((high - low)[last] ** 2).mean() / (4 * np.log(2))
    assert volatility.parkinson(bars, 21)[-1] ** 2 == pytest.approx(parkinson, rel=1e-9)
    inside = 0.5 * (high - low)[last] ** 2 - (2 * np.log(2) - 1) * move**2
    assert volatility.garman_klass(bars, 21)[-1] ** 2 == pytest.approx(inside.mean(), rel=1e-9)
    k = 0.34 / (1.34 + 22 / 20)
    rogers_satchell = (up * (up - move) + down * (down - move)).mean()
    expected = overnight.var(ddof=1) + k * move.var(ddof=1) + (1 - k) * rogers_satchell
    assert volatility.yang_zhang(bars, 21)[-1] ** 2 == pytest.approx(expected, rel=1e-9)


def test_what_does_not_move_has_no_volatility():
    for estimate, look_back, _ in volatility.ESTIMATORS.values():
        np.testing.assert_array_equal(estimate(constant(40), 21)[look_back:], 0.0)
