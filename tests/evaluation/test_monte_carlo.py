from math import exp, log, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from domain.errors import InvalidValue
from evaluation.monte_carlo import (
    bootstrap_paths,
    outcomes,
    reordered_paths,
    scenario_paths,
    spread,
    uncertain_paths,
)
from evaluation.performance import maximum_drawdown

NORMAL = NormalDist()
RETURNS = arrays(np.float64, (3, 8), elements=st.floats(-0.5, 0.5))


@given(returns=RETURNS)
def test_outcomes_are_those_of_the_single_path(returns):
    found = outcomes(returns)
    for path, values in enumerate(returns):
        wealth = np.concatenate([[1.0], np.cumprod(1.0 + values)])
        assert found.wealth[path] == pytest.approx(wealth[-1])
        assert found.lowest[path] == pytest.approx(wealth.min())
        assert found.drawdown[path] == pytest.approx(maximum_drawdown(wealth), abs=1e-12)


def test_what_is_lost_stays_lost():
    found = outcomes(np.array([[0.5, -1.2, 3.0]]))
    assert (found.wealth[0], found.lowest[0], found.drawdown[0]) == (0.0, 0.0, -1.0)


def brownian(drift, deviation, *, periods, paths, seed):
    """Paths of normal log returns, by scenarios of one asset."""
    one = np.ones(1)
    moves = scenario_paths(
        one, one * drift, one * deviation, np.eye(1), periods=periods, paths=paths, seed=seed
    )
    return np.expm1(moves)


def test_wealth_and_its_tail_are_lognormal():
    found = outcomes(brownian(0.0004, 0.01, periods=252, paths=40_000, seed=1))
    mean, deviation = 252 * 0.0004, sqrt(252) * 0.01
    said = spread(found)
    expected = [exp(mean + deviation * NORMAL.inv_cdf(level)) for level in said.levels]
    assert said.wealth == pytest.approx(expected, rel=0.01)
    worst = mean + deviation * NORMAL.inv_cdf(0.05)
    assert said.value_at_risk == pytest.approx(1.0 - exp(worst), abs=0.004)
    # Mean of a lognormal below its 5 % quantile.
    below = exp(mean + deviation**2 / 2) * NORMAL.cdf(NORMAL.inv_cdf(0.05) - deviation) / 0.05
    assert said.expected_shortfall == pytest.approx(1.0 - below, abs=0.004)


@pytest.mark.parametrize("drift", [-0.0005, 0.0, 0.0005])
def test_ruin_is_as_likely_as_a_brownian_motion_meets_its_barrier(drift):
    # Reflection principle; the barrier is moved for looking once a period only: Broadie,
    # Glasserman and Kou, "A continuity correction for discrete barrier options", 1997.
    periods, deviation = 252, 0.02
    found = outcomes(brownian(drift, deviation, periods=periods, paths=40_000, seed=2))
    barrier = log(0.7) - 0.5826 * deviation
    root = deviation * sqrt(periods)
    likely = NORMAL.cdf((barrier - drift * periods) / root) + exp(
        2 * drift * barrier / deviation**2
    ) * NORMAL.cdf((barrier + drift * periods) / root)
    said = spread(found, ruin=0.7)
    assert said.ruin == pytest.approx(likely, abs=0.01)
    assert said.ruin_low < said.ruin < said.ruin_high


def test_the_mean_drawdown_of_a_driftless_path():
    # E = sqrt(pi / 2) σ sqrt(T) for log wealth (Magdon-Ismail, Atiya, Pratap and Abu-Mostafa,
    # "On the maximum drawdown of a Brownian motion", 2004), looked at 4,000 times.
    deviation = 0.1 / sqrt(4000)
    found = outcomes(brownian(0.0, deviation, periods=4000, paths=2_000, seed=3))
    fall = -np.log1p(found.drawdown).mean()
    assert fall == pytest.approx(sqrt(pi / 2) * 0.1, rel=0.03)


# Blocks are fewer than returns, so that they need more of them for the same coverage.
@pytest.mark.parametrize(("block", "n"), [(1.0, 100), (3.0, 400)])
def test_bootstrap_intervals_hold_what_they_promise(block, n):
    rng = np.random.default_rng(4)
    trials, true = 1_500, 0.001
    held = 0
    for trial in range(trials):
        observed = rng.normal(true, 0.01, n)
        paths = bootstrap_paths(observed, periods=n, paths=400, block=block, seed=trial)
        low, high = np.quantile(paths.mean(axis=1), [0.025, 0.975])
        held += low <= true <= high
    assert 0.93 <= held / trials <= 0.97


def test_intervals_of_uncertain_paths_hold_the_future():
    rng = np.random.default_rng(5)
    trials, held = 1_000, 0
    for trial in range(trials):
        logs = rng.normal(0.001, 0.02, 40)
        paths = uncertain_paths(np.expm1(logs[:20]), periods=20, paths=400, seed=trial)
        low, high = np.quantile(outcomes(paths).wealth, [0.025, 0.975])
        held += low <= exp(logs[20:].sum()) <= high
    assert 0.93 <= held / trials <= 0.97


@given(seed=st.integers(0, 100))
@settings(max_examples=20)
def test_another_order_of_trades_ends_where_the_first_did(seed):
    trades = np.random.default_rng(seed).normal(0.0, 0.05, 30)
    paths = reordered_paths(trades, paths=50, seed=seed)
    found = outcomes(paths)
    assert np.array_equal(np.sort(paths, axis=1), np.tile(np.sort(trades), (50, 1)))
    assert found.wealth == pytest.approx(np.prod(1.0 + trades))
    assert np.ptp(found.drawdown) > 0.0


def test_blocks_keep_what_follows_what():
    returns = np.arange(1, 101) / 1000.0
    paths = bootstrap_paths(returns, periods=400, paths=20, block=20.0, seed=6)
    step = np.diff(np.rint(paths * 1000).astype(int), axis=1)
    followed = np.isin(step, [1, -99]).mean()
    assert followed == pytest.approx(1 - 1 / 20, abs=0.02)


def test_assets_crash_together_under_a_t_copula():
    weights, one = np.array([0.5, 0.5]), np.full(2, 0.01)
    correlation = np.array([[1.0, 0.5], [0.5, 1.0]])
    shortfalls = [
        spread(
            outcomes(
                scenario_paths(
                    weights,
                    0 * one,
                    one,
                    correlation,
                    degrees=degrees,
                    periods=1,
                    paths=100_000,
                    seed=7,
                )
            )
        ).expected_shortfall
        for degrees in (np.inf, 3.0)
    ]
    deviation = 0.01 * sqrt(0.75)
    normal = deviation * NORMAL.pdf(NORMAL.inv_cdf(0.05)) / 0.05
    assert shortfalls[0] == pytest.approx(normal, rel=0.02)
    assert shortfalls[1] > 1.05 * normal


def test_the_same_seed_draws_the_same():
    returns = np.random.default_rng(8).normal(0.0, 0.01, 50)
    for draw in (
        lambda seed: bootstrap_paths(returns, periods=10, paths=5, block=3.0, seed=seed),
        lambda seed: reordered_paths(returns, paths=5, seed=seed),
        lambda seed: uncertain_paths(returns, periods=10, paths=5, seed=seed),
    ):
        assert np.array_equal(draw(1), draw(1))
        assert not np.array_equal(draw(1), draw(2))


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, float("nan")], [0.1, -1.0], [[0.1, 0.2]]])
def test_what_no_path_can_be_drawn_from_is_refused(returns):
    with pytest.raises(InvalidValue):
        bootstrap_paths(returns, periods=5, paths=2, block=1.0, seed=1)
    with pytest.raises(InvalidValue):
        uncertain_paths(returns, periods=5, paths=2, seed=1)


def test_an_odd_number_of_paths_has_no_pairs():
    one = np.ones(1)
    with pytest.raises(InvalidValue, match="pairs"):
        scenario_paths(one, one, one, np.eye(1), periods=5, paths=3, seed=1)
