"""Excursions by hand, and stops that follow from them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.price_history import PriceHistory
from agents.risk_manager.filtered_returns import START_DAYS, filter_returns
from agents.risk_manager.risk_parameters import Excursions, excursions, risk_parameters
from domain.errors import InvalidValue

DAYS, HORIZON = 500, 5


def history(close, reach=0.01):
    close = np.asarray(close, float)
    return PriceHistory(
        np.arange(len(close)), close, close * (1 + reach), close * (1 - reach), close, close * 0 + 1
    )


def walk(seed=0, drift=0.0, days=DAYS):
    steps = np.random.default_rng(seed).standard_normal(days) * 0.01 + drift
    return history(100 * np.exp(np.cumsum(steps)))


@pytest.mark.parametrize("direction", [1, -1])
def test_one_entry_by_hand(direction):
    bars = walk()
    found = excursions(bars, direction, HORIZON)
    assert len(found.adverse) == DAYS - START_DAYS - HORIZON
    entry = START_DAYS + 40
    returns = (bars.close[1:] / bars.close[:-1] - 1)[:, None]
    # Expected at the close of the entry's day, from returns up to it.
    unit = float(filter_returns(returns[:entry]).next_volatility[0]) * bars.close[entry]
    high, low = (x[entry + 1 : entry + 1 + HORIZON] for x in (bars.high, bars.low))
    best, worst = (high, low) if direction > 0 else (low, high)
    gains, losses = direction * (best - bars.close[entry]), -direction * (worst - bars.close[entry])
    assert found.favourable[40] == pytest.approx(max(gains.max(), 0) / unit)
    assert found.adverse[40] == pytest.approx(max(losses.max(), 0) / unit)
    moved = direction * (bars.close[entry + HORIZON] - bars.close[entry])
    assert found.outcome[40] == pytest.approx(moved / unit)
    assert found.peak_day[40] == 1 + int(np.argmax(gains))


def test_no_entry_sees_beyond_its_horizon():
    bars = walk()
    shorter = history(bars.close[:400])
    one, other = excursions(bars, 1, HORIZON), excursions(shorter, 1, HORIZON)
    assert one.adverse[: len(other.adverse)] == pytest.approx(other.adverse)


def past(winners, losers=200):
    """Winners went one volatility against, three for, and ended at two, on the second day."""
    one = np.ones(winners)
    lost = -np.ones(losers)
    return Excursions(
        np.concatenate([one, -5 * lost]), np.concatenate([3 * one, 0 * lost]),
        np.concatenate([2 * one, lost]), np.concatenate([2 * one, -lost]),
    )  # fmt: skip


@pytest.mark.parametrize("direction", [1, -1])
def test_stops_lie_where_the_winners_went(direction):
    found = risk_parameters(
        past(300), price=100.0, direction=direction, daily_volatility=0.02, horizon_days=HORIZON
    )
    assert found.stop == pytest.approx(100 - direction * 2)
    assert found.take_profit == pytest.approx(100 + direction * 6)
    assert found.trailing_distance == pytest.approx(2)
    assert found.time_stop_days == 2
    assert (found.stop_distance, found.basis) == (pytest.approx(0.02), "excursions")


def test_with_few_winners_volatility_alone_decides_and_it_is_said():
    found = risk_parameters(
        past(149), price=100.0, direction=1, daily_volatility=0.02, horizon_days=HORIZON
    )
    assert (found.basis, found.winners) == ("volatility", 149)
    assert found.stop == pytest.approx(100 - 100 * 2 * 0.02 * math.sqrt(5))
    assert found.time_stop_days == HORIZON


@given(st.floats(0.001, 0.9), st.sampled_from([1, -1]), st.floats(0.01, 1e5))
def test_the_price_lies_between_stop_and_target_which_are_positive(volatility, direction, price):
    found = risk_parameters(
        past(300), price=price, direction=direction, daily_volatility=volatility,
        horizon_days=HORIZON,
    )  # fmt: skip
    low, high = sorted((found.stop, found.take_profit))
    assert 0 < low < price < high
    assert found.trailing_distance > 0


def test_a_loud_day_keeps_the_same_stop_in_volatilities():
    quiet, loud = (
        risk_parameters(past(300), price=100, direction=1, daily_volatility=v, horizon_days=HORIZON)
        for v in (0.01, 0.03)
    )
    assert loud.stop_distance == pytest.approx(3 * quiet.stop_distance)


def test_what_has_no_stop_is_a_typed_error():
    gap = walk()
    gap.close[100] = np.nan
    for call in (
        lambda: excursions(history(np.full(300, 50.0)), 1, HORIZON),
        lambda: excursions(walk(days=20), 1, HORIZON),
        lambda: excursions(walk(), 0, HORIZON),
        lambda: excursions(walk(), 1, 0),
        lambda: excursions(gap, 1, HORIZON),
        lambda: risk_parameters(
            past(300), price=100, direction=1, daily_volatility=0.0, horizon_days=5
        ),
        lambda: risk_parameters(
            past(300), price=-1, direction=1, daily_volatility=0.01, horizon_days=5
        ),
    ):
        with pytest.raises(InvalidValue):
            call()
