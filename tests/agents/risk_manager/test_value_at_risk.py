from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from agents.risk_manager.value_at_risk import value_at_risk
from domain.errors import InvalidValue

RETURNS = np.random.default_rng(4).standard_normal((400, 3)) * np.array([0.01, 0.02, 0.015])
VOLATILITIES = np.array([0.011, 0.018, 0.02])
WEIGHTS = nps.arrays(np.float64, 3, elements=st.floats(-1, 1))


def test_one_asset_is_the_normal_closed_form():
    risk = value_at_risk(np.array([0.5]), RETURNS[:, :1], np.array([0.02]), 0.99)
    z = NormalDist().inv_cdf(0.99)
    assert risk.volatility == pytest.approx(0.01)
    assert risk.normal == pytest.approx(z * 0.01)
    # Expected shortfall of a normal loss: density at the quantile over the tail (Jorion, 3rd ed.).
    assert risk.normal_cvar == pytest.approx(0.01 * NormalDist().pdf(z) / 0.01)


def test_historical_is_the_quantile_of_rescaled_losses():
    risk = value_at_risk(np.array([1.0]), RETURNS[:, :1], np.array([0.02]), 0.95)
    scaled = (RETURNS[:, 0] - RETURNS[:, 0].mean()) / RETURNS[:, 0].std() * 0.02
    assert risk.historical == pytest.approx(np.quantile(-scaled, 0.95))
    assert risk.historical_cvar == pytest.approx(-scaled[-scaled >= risk.historical].mean())


@given(WEIGHTS, WEIGHTS)
def test_normal_risk_is_subadditive_and_cvar_is_beyond_var(one, other):
    parts = [value_at_risk(w, RETURNS, VOLATILITIES) for w in (one, other)]
    whole = value_at_risk(one + other, RETURNS, VOLATILITIES)
    assert whole.normal <= sum(part.normal for part in parts) + 1e-12
    assert whole.normal_cvar >= whole.normal
    assert whole.historical_cvar >= whole.historical - 1e-12


@given(WEIGHTS, st.floats(0.1, 10))
def test_risk_scales_with_the_position(weights, factor):
    once, scaled = (value_at_risk(w, RETURNS, VOLATILITIES) for w in (weights, weights * factor))
    assert scaled.normal == pytest.approx(factor * once.normal, abs=1e-12)
    assert scaled.historical == pytest.approx(factor * once.historical, abs=1e-12)


def test_an_asset_that_never_moved_adds_no_risk():
    still = np.column_stack([RETURNS[:, 0], np.zeros(400)])
    alone = value_at_risk(np.array([1.0]), RETURNS[:, :1], np.array([0.01]))
    both = value_at_risk(np.array([1.0, 1.0]), still, np.array([0.01, 0.0]))
    assert both == pytest.approx(alone)


@pytest.mark.parametrize(("days", "level"), [(1, 0.99), (100, 1.0), (100, 0.4)])
def test_what_cannot_be_measured_is_a_typed_error(days, level):
    with pytest.raises(InvalidValue):
        value_at_risk(np.ones(3), RETURNS[:days], VOLATILITIES, level)
