"""Exposures by hand and their invariants."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents.risk_manager.portfolio_exposure import (
    UNCLASSIFIED,
    beta,
    cluster_exposures,
    concentration,
    factor_exposures,
    gross_and_net,
    liquidation_days,
    sector_exposures,
)
from domain.errors import InvalidValue

WEIGHTS = {"AAA": 0.3, "BBB": -0.2, "CCC": 0.1}
CORRELATION = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
BOOKS = st.dictionaries(st.sampled_from("ABCDEFGH"), st.floats(-1, 1), min_size=1)


def test_gross_net_and_sectors():
    assert gross_and_net(WEIGHTS) == pytest.approx((0.6, 0.2))
    found = sector_exposures(WEIGHTS, {"AAA": "Energy", "BBB": "Energy"})
    assert found["Energy"] == pytest.approx((0.5, 0.1))
    assert found[UNCLASSIFIED] == pytest.approx((0.1, 0.1))


@given(BOOKS, st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from("xy")))
def test_sectors_sum_to_the_portfolio(weights, sectors):
    found = sector_exposures(weights, sectors)
    assert [sum(each) for each in zip(*found.values(), strict=True)] == pytest.approx(
        gross_and_net(weights), abs=1e-12
    )


def test_beta_is_the_regression_slope():
    random = np.random.default_rng(1)
    market = random.standard_normal(300)
    assets = np.column_stack([0.5 * market + random.standard_normal(300), 2 * market])
    found = beta(assets, market)
    assert found == pytest.approx([stats.linregress(market, x).slope for x in assets.T])
    assert found[1] == pytest.approx(2)


@given(BOOKS)
def test_concentration_lies_between_one_name_and_equal_weights(weights):
    found = concentration(weights)
    if found.largest > 0:
        held = len(weights)
        assert 1 / held - 1e-9 <= found.herfindahl <= 1 + 1e-9
        assert 1 - 1e-9 <= found.effective_positions <= held + 1e-9


def test_concentration_by_hand():
    assert concentration({"A": 0.2, "B": -0.2}) == pytest.approx((0.2, 0.5, 2.0))
    assert concentration({}) == (0.0, 0.0, 0.0)


def test_factors_carry_the_whole_variance():
    exposures = np.array([0.01, -0.02, 0.005])
    found = factor_exposures(exposures, CORRELATION)
    variance = sum(factor.exposure**2 for factor in found)
    assert variance == pytest.approx(exposures @ CORRELATION @ exposures)
    assert sum(factor.variance_share for factor in found) == pytest.approx(1)
    assert factor_exposures(np.zeros(3), CORRELATION)[0].variance_share == 0


def test_a_long_book_is_long_the_first_factor():
    one = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    (first, *_) = factor_exposures(np.full(3, 0.01), one)
    # Three equal assets correlated to one half: all their risk is common.
    assert first.exposure == pytest.approx(0.01 * math.sqrt(6))
    assert first.variance_share == pytest.approx(1)


def test_days_to_sell_by_hand():
    days = liquidation_days(WEIGHTS, {"AAA": 1e6, "BBB": 2e6}, equity=1e6, participation=0.1)
    assert days == pytest.approx({"AAA": 3.0, "BBB": 1.0, "CCC": math.inf})


def test_clusters_come_with_their_gross_largest_first():
    found = cluster_exposures(WEIGHTS, [("CCC",), ("AAA", "BBB")])
    assert [cluster.symbols for cluster in found] == [("AAA", "BBB"), ("CCC",)]
    assert [cluster.gross for cluster in found] == pytest.approx([0.5, 0.1])


def test_what_has_no_exposure_is_a_typed_error():
    for call in (
        lambda: beta(np.ones((5, 2)), np.ones(5)),
        lambda: beta(np.ones((5, 2)), np.arange(4.0)),
        lambda: liquidation_days(WEIGHTS, {}, equity=0.0, participation=0.1),
        lambda: liquidation_days(WEIGHTS, {}, equity=1.0, participation=0.0),
    ):
        with pytest.raises(InvalidValue):
            call()
