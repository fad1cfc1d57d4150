from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.planning import (
    WORTHWHILE_BPS,
    ParentOrder,
    choose,
    horizon,
    impact_of,
    plan,
    schedules,
    shortfall_of,
)
from agents.execution.volume_curve import USUAL_CURVE, VolumeForecast
from domain.errors import InvalidValue
from domain.execution_plan import Algorithm
from domain.orders import Side
from domain.settings import TradingSettings

LIMITS = TradingSettings()
RATE = float(LIMITS.maximum_participation_rate)
FORECAST = VolumeForecast(USUAL_CURVE, 1e6)
CLASSIC = [name for name in Algorithm if name is not Algorithm.LEARNED]
LARGE = ParentOrder("p", "AAA", Side.BUY, 40_000, 50.0, 0.02)

orders = st.builds(
    ParentOrder,
    proposal_id=st.just("p"),
    symbol=st.just("AAA"),
    side=st.sampled_from(Side),
    quantity=st.integers(1, 500_000),
    price=st.floats(0.5, 1000),
    volatility=st.floats(1e-6, 0.1),
)
aversions = st.floats(0.0, 1e-4)


def costs_of(order, risk_aversion, first=0):
    buckets = horizon(order.quantity, FORECAST, RATE, first)
    impact = impact_of(order, FORECAST.volume, LIMITS)
    found = schedules(order, buckets, impact, rate=RATE, risk_aversion=risk_aversion)
    return found, {name: shortfall_of(shares, buckets, impact) for name, shares in found.items()}


@given(orders, aversions, st.integers(0, 12), st.sampled_from([None, *CLASSIC]))
def test_a_plan_sums_to_its_parent_whoever_makes_it(order, risk_aversion, first, algorithm):
    found = plan(
        order, FORECAST, LIMITS, risk_aversion=risk_aversion, first_bucket=first,
        algorithm=algorithm,
    )  # fmt: skip
    assert sum(child.quantity for child in found.children) == found.quantity == order.quantity
    assert found.children[0].due >= (0, first * 1800)


@given(orders, aversions)
def test_never_worse_than_twap(order, risk_aversion):
    chosen = plan(order, FORECAST, LIMITS, risk_aversion=risk_aversion).algorithm
    _, costs = costs_of(order, risk_aversion)
    if _allowed_twap(order, risk_aversion):
        utility = [costs[name].utility(risk_aversion) for name in (chosen, Algorithm.TWAP)]
        assert utility[0] <= utility[1]


def _allowed_twap(order, risk_aversion):
    found, _ = costs_of(order, risk_aversion)
    shares = found[Algorithm.TWAP]
    volumes = FORECAST.volume * horizon(order.quantity, FORECAST, RATE).lengths
    return ((shares - 1) <= RATE * volumes).all()


@given(orders, aversions)
def test_no_bucket_takes_more_of_the_volume_than_is_allowed(order, risk_aversion):
    found = plan(order, FORECAST, LIMITS, risk_aversion=risk_aversion)
    for child in found.children:
        volume = FORECAST.buckets[child.seconds // 1800]
        assert child.quantity - 1 <= RATE * volume * (1 + 1e-9)


@given(orders.filter(lambda o: o.volatility > 1e-3), aversions, st.floats(1.0, 50.0))
def test_more_risk_aversion_is_never_behind(order, less, factor):
    def due(risk_aversion):
        found, _ = costs_of(order, risk_aversion)
        return np.cumsum(found[Algorithm.IMPLEMENTATION_SHORTFALL])

    assert (due(less * factor) >= due(less)).all()


def test_along_the_volume_curve_it_costs_what_the_vote_says():
    found = plan(LARGE, FORECAST, LIMITS, algorithm=Algorithm.VWAP)
    law = 0.1 * 0.02 * sqrt(0.04) * 1e4
    assert float(found.expected_cost_bps) == pytest.approx(2 + 0.0035 / 50 * 1e4 + law, rel=1e-4)


def test_the_algorithm_follows_what_is_worth_it():
    def chosen(order, risk_aversion):
        return plan(order, FORECAST, LIMITS, risk_aversion=risk_aversion).algorithm

    patient = LARGE._replace(quantity=30_000)
    assert chosen(patient._replace(quantity=20), 1e-6) is Algorithm.TWAP
    assert chosen(patient, 0.0) is Algorithm.VWAP
    assert chosen(patient, 1e-6) is Algorithm.IMPLEMENTATION_SHORTFALL
    # All of the volume that is allowed leaves no choice but its course.
    assert chosen(LARGE._replace(quantity=50_000), 1e-6) is Algorithm.VWAP


def test_a_simpler_schedule_stays_where_little_is_saved():
    order = LARGE._replace(quantity=2000, volatility=1e-4)
    _, costs = costs_of(order, 1e-6)
    saved = costs[Algorithm.TWAP].utility(1e-6) - costs[Algorithm.VWAP].utility(1e-6)
    assert 0 < saved < WORTHWHILE_BPS / 1e4 * order.value
    assert plan(order, FORECAST, LIMITS).algorithm is Algorithm.TWAP


def test_a_price_that_never_moves_leaves_nothing_to_gain_on_twap():
    still = LARGE._replace(quantity=10_000, volatility=0.0)
    assert plan(still, FORECAST, LIMITS).algorithm is Algorithm.TWAP
    with pytest.raises(InvalidValue):
        plan(still, FORECAST, LIMITS, algorithm=Algorithm.IMPLEMENTATION_SHORTFALL)


def test_a_learned_schedule_is_taken_only_where_it_beats_the_classic_ones():
    order = LARGE._replace(quantity=20_000)
    best = plan(order, FORECAST, LIMITS)
    poor = plan(order, FORECAST, LIMITS, learned=np.ones(13))
    assert poor == best
    asked = plan(order, FORECAST, LIMITS, learned=np.ones(13), algorithm=Algorithm.LEARNED)
    assert asked.children == plan(order, FORECAST, LIMITS, algorithm=Algorithm.TWAP).children
    found, costs = costs_of(order, 1e-6)
    costs[Algorithm.LEARNED] = costs[best.algorithm]._replace(expected=0.0, variance=0.0)
    ranked = {**found, Algorithm.LEARNED: found[Algorithm.TWAP]}
    assert choose(ranked, costs, 1e-6, 0.1) is Algorithm.LEARNED
    with pytest.raises(InvalidValue):
        plan(order, FORECAST, LIMITS, learned=np.ones(12))


def test_an_order_too_large_for_the_session_goes_on_in_the_next():
    found = plan(LARGE._replace(quantity=120_000), FORECAST, LIMITS)
    assert {child.session for child in found.children} == {0, 1, 2}


def test_the_rest_of_a_session_is_planned_from_its_bucket_on():
    found = plan(LARGE._replace(quantity=20_000), FORECAST, LIMITS, first_bucket=7)
    assert found.children[0].due == (0, 7 * 1800)
    assert found.children[-1].due <= (0, 12 * 1800)


def test_the_same_order_gets_the_same_plan():
    assert plan(LARGE, FORECAST, LIMITS) == plan(LARGE, FORECAST, LIMITS)


@pytest.mark.parametrize(
    "order",
    [
        LARGE._replace(quantity=0),
        LARGE._replace(quantity=-5),
        LARGE._replace(quantity=10**9),
        LARGE._replace(price=0.0),
        LARGE._replace(price=np.nan),
        LARGE._replace(volatility=np.nan),
        LARGE._replace(volatility=-0.1),
    ],
)
def test_an_impossible_order_is_a_typed_error(order):
    with pytest.raises(InvalidValue):
        plan(order, FORECAST, LIMITS)


@pytest.mark.parametrize("volume", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_volume_is_a_typed_error(volume):
    with pytest.raises(InvalidValue):
        plan(LARGE, VolumeForecast(USUAL_CURVE, volume), LIMITS)


def test_a_bucket_past_the_session_or_a_schedule_nobody_makes_is_a_typed_error():
    with pytest.raises(InvalidValue):
        plan(LARGE, FORECAST, LIMITS, first_bucket=13)
    with pytest.raises(InvalidValue):
        plan(LARGE, FORECAST, LIMITS, algorithm=Algorithm.LEARNED)
