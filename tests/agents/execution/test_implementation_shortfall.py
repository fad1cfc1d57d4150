from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from agents.execution.implementation_shortfall import (
    Impact,
    optimal_shortfall,
    shortfall,
    trajectory,
    urgency,
)
from domain.errors import InvalidValue

#: Almgren & Chriss (2000), table 1: a million shares in five days.
PAPER = Impact(volatility=0.95, temporary=2.5e-6, permanent=2.5e-7, fixed=0.0625)
SHARES, DAYS = 1e6, 5
LAMBDA = 1e-6

aversions = st.floats(1e-9, 1e-4)
impacts = st.builds(
    Impact,
    volatility=st.floats(0.01, 5.0),
    temporary=st.floats(1e-7, 1e-5),
    permanent=st.floats(0.0, 1e-8),
    fixed=st.floats(0.0, 1.0),
)
slices = st.integers(1, 30)


def optimum(impact, risk_aversion, count, horizon=1.0):
    times = np.linspace(0.0, horizon, count + 1)
    decay = urgency(impact, risk_aversion, horizon / count)
    return trajectory(SHARES, times, decay), times


def test_the_papers_urgency_and_half_life():
    # Section 3.1: for λ = 1e-6, κ ≈ 0.61 a day and the half-life of the order is 1.6 days.
    assert urgency(PAPER, LAMBDA, 1.0) == pytest.approx(0.61, abs=0.005)
    assert 1 / urgency(PAPER, LAMBDA, 1.0) == pytest.approx(1.6, abs=0.05)


def test_the_papers_cost_of_trading_evenly():
    # Equations 10 and 11: E and V of the minimum-impact strategy.
    times = np.linspace(0.0, DAYS, DAYS + 1)
    even = shortfall(PAPER, trajectory(SHARES, times, 0.0), times)
    effective = PAPER.temporary - 0.5 * PAPER.permanent
    assert even.expected == pytest.approx(
        0.5 * PAPER.permanent * SHARES**2 + PAPER.fixed * SHARES + effective * SHARES**2 / DAYS
    )
    assert even.variance == pytest.approx(
        PAPER.volatility**2 * SHARES**2 * DAYS / 3 * (1 - 1 / DAYS) * (1 - 1 / (2 * DAYS))
    )


@given(impacts, aversions, slices)
def test_the_closed_form_is_the_cost_of_its_trajectory(impact, risk_aversion, count):
    held, times = optimum(impact, risk_aversion, count)
    summed = shortfall(impact, held, times)
    closed = optimal_shortfall(impact, SHARES, count, 1.0, risk_aversion)
    assert closed.expected == pytest.approx(summed.expected, rel=1e-6)
    assert closed.variance == pytest.approx(summed.variance, rel=1e-6, abs=1e-6 * SHARES)


@pytest.mark.parametrize("risk_aversion", [1e-7, 1e-6, 1e-5])
def test_no_numerical_search_finds_a_cheaper_schedule(risk_aversion):
    held, times = optimum(PAPER, risk_aversion, DAYS, DAYS)
    ours = shortfall(PAPER, held, times).utility(risk_aversion)

    def utility(between):
        whole = np.concatenate([[1.0], between, [0.0]]) * SHARES
        return shortfall(PAPER, whole, times).utility(risk_aversion) / ours

    found = minimize(utility, np.linspace(0.8, 0.2, DAYS - 1), tol=1e-12)
    assert found.fun == pytest.approx(1.0, abs=1e-8)
    assert found.x * SHARES == pytest.approx(held[1:-1], rel=1e-3)


@given(impacts, aversions, st.floats(1.0, 100.0), slices)
def test_more_risk_aversion_holds_less_costs_more_and_risks_less(impact, less, factor, count):
    calm, times = optimum(impact, less, count)
    hasty, _ = optimum(impact, less * factor, count)
    assert (hasty <= calm + 1e-6).all()
    cheap, sure = shortfall(impact, calm, times), shortfall(impact, hasty, times)
    assert sure.variance <= cheap.variance * (1 + 1e-9)
    assert sure.expected >= cheap.expected * (1 - 1e-9)


@given(impacts, aversions, slices)
def test_never_worse_than_even_trading_and_from_whole_to_nothing(impact, risk_aversion, count):
    held, times = optimum(impact, risk_aversion, count)
    even = trajectory(SHARES, times, 0.0)
    assert held[0] == pytest.approx(SHARES)
    assert held[-1] == 0.0
    assert (np.diff(held) <= 0).all()
    best, plain = (shortfall(impact, x, times).utility(risk_aversion) for x in (held, even))
    assert best <= plain * (1 + 1e-9)


def test_ever_finer_slices_approach_the_continuous_urgency():
    assert urgency(PAPER, LAMBDA, 1e-4) == pytest.approx(urgency(PAPER, LAMBDA), rel=1e-4)
    assert urgency(PAPER, LAMBDA) == pytest.approx(
        sqrt(LAMBDA * PAPER.volatility**2 / PAPER.temporary)
    )


def test_a_great_urgency_does_not_overflow():
    held = trajectory(SHARES, np.linspace(0.0, 1.0, 5), 1e5)
    assert held.tolist() == [SHARES, 0.0, 0.0, 0.0, 0.0]
    half = trajectory(1.0, np.array([0.0, log(2) / 50, 1.0]), 50.0)
    assert half[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("impact", "risk_aversion"),
    [
        (PAPER._replace(temporary=0.0), 1e-6),
        (PAPER._replace(permanent=1.0), 1e-6),
        (PAPER._replace(volatility=-1.0), 1e-6),
        (PAPER._replace(volatility=np.nan), 1e-6),
        (PAPER, -1e-6),
        (PAPER, np.inf),
    ],
)
def test_an_impossible_market_is_a_typed_error(impact, risk_aversion):
    with pytest.raises(InvalidValue):
        urgency(impact, risk_aversion, 1.0)
