"""Closed forms against printed tables, scipy and numerical integration."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy import integrate, stats

from agents.risk_manager.parametric_value_at_risk import (
    cornish_fisher,
    fit_degrees_of_freedom,
    moments,
    normal,
    normal_contributions,
    student_t,
)
from domain.errors import InvalidValue

#: Daily deviation of 10,000 at 20 % a year of 250 days: the example's position.
DEVIATION = 10_000 * 0.2 / np.sqrt(250)
MATRIX = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.2], [0.5, -0.2, 2.0]]) * 1e-4


@pytest.mark.parametrize(
    ("level", "normal_var", "normal_shortfall", "t_var"),
    [
        # McNeil, Frey & Embrechts, Quantitative Risk Management (2005), 2.2: VaR and shortfall of
        # stock returns, normal and t with 4 degrees of freedom of the same deviation.
        (0.90, 162.1, 222.0, 137.1),
        (0.95, 208.1, 260.9, 190.7),
        (0.99, 294.3, 337.1, 335.1),
    ],
)
def test_printed_figures(level, normal_var, normal_shortfall, t_var):
    assert normal(0, DEVIATION, level) == pytest.approx((normal_var, normal_shortfall), abs=0.06)
    assert student_t(0, DEVIATION, 4, level).value_at_risk == pytest.approx(t_var, abs=0.06)


@pytest.mark.parametrize("degrees", [2.5, 5, 40])
def test_student_t_equals_scipy(degrees):
    found = student_t(0.001, 0.02, degrees, 0.975)
    scale = 0.02 / stats.t(degrees).std()
    loss = stats.t(degrees, loc=-0.001, scale=scale)
    tail, _ = integrate.quad(loss.ppf, 0.975, 1)
    assert found.value_at_risk == pytest.approx(loss.ppf(0.975))
    assert found.expected_shortfall == pytest.approx(tail / 0.025, rel=1e-6)


def test_a_t_with_many_degrees_of_freedom_is_normal():
    assert student_t(0, 1, 1e7) == pytest.approx(normal(0, 1), rel=1e-6)


def test_cornish_fisher_by_hand_and_by_integration():
    s, k = 0.4, 1.1  # of the loss

    def quantile(share):
        z = stats.norm.ppf(share)
        return z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36

    found = cornish_fisher(0.002, 0.01, -s, k, 0.99)
    tail, _ = integrate.quad(quantile, 0.99, 1)
    assert found.value_at_risk == pytest.approx(0.01 * quantile(0.99) - 0.002)
    assert found.expected_shortfall == pytest.approx(0.01 * tail / 0.01 - 0.002, rel=1e-7)
    assert cornish_fisher(0, 1, 0, 0) == pytest.approx(normal(0, 1))


@pytest.mark.parametrize(("skewness", "excess"), [(0.0, -1.0), (3.0, 0.0), (-4.0, 3.0)])
def test_an_expansion_that_falls_is_refused(skewness, excess):
    with pytest.raises(InvalidValue, match="no distribution"):
        cornish_fisher(0, 1, skewness, excess)


@given(st.floats(-1.5, 1.5), st.floats(-2, 8), st.sampled_from([0.95, 0.99]))
def test_an_accepted_expansion_rises_with_the_level(skewness, excess, level):
    try:
        cornish_fisher(0, 1, skewness, excess, level)
    except InvalidValue:
        return
    levels = np.linspace(level, 1 - 1e-8, 60)
    risks = np.array([cornish_fisher(0, 1, skewness, excess, p) for p in levels])
    assert (np.diff(risks, axis=0) > 0).all()
    assert (risks[:, 1] > risks[:, 0]).all()


@given(nps.arrays(np.float64, 3, elements=st.floats(0.01, 1)))
def test_components_sum_to_the_normal_value_at_risk(weights):
    split = normal_contributions(weights, MATRIX)
    whole = normal(0, float(np.sqrt(weights @ MATRIX @ weights))).value_at_risk
    assert split.component.sum() == pytest.approx(whole)


def test_marginal_and_incremental_by_hand():
    weights = np.array([1.0, 0.0, 0.0])
    z = NormalDist().inv_cdf(0.99)
    split = normal_contributions(weights, MATRIX)
    assert split.marginal == pytest.approx(z * MATRIX[0] / 0.02)
    assert split.incremental == pytest.approx([z * 0.02, 0, 0], abs=1e-12)


@pytest.mark.parametrize("degrees", [3.0, 6.0, 15.0])
def test_degrees_of_freedom_are_found_again(degrees):
    draws = np.random.default_rng(2).standard_t(degrees, 20_000)
    assert fit_degrees_of_freedom(draws) == pytest.approx(degrees, rel=0.2)


def test_moments_equal_scipy():
    draws = np.random.default_rng(3).gamma(2.0, size=500)
    assert moments(draws) == pytest.approx((stats.skew(draws), stats.kurtosis(draws)))


def test_what_has_no_risk_is_a_typed_error():
    still = np.zeros(50)
    for call in (
        lambda: normal(0, 0),
        lambda: normal(0, np.nan),
        lambda: normal(0, 1, 1.0),
        lambda: student_t(0, 1, 2.0),
        lambda: cornish_fisher(0, -1, 0, 0),
        lambda: fit_degrees_of_freedom(still),
        lambda: moments(still),
        lambda: normal_contributions(np.zeros(3), MATRIX),
    ):
        with pytest.raises(InvalidValue):
            call()
