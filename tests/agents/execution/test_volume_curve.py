import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.volume_curve import (
    USUAL_CURVE,
    VolumeForecast,
    session_volumes,
    update,
    volume_curve,
)
from agents.price_history import PriceHistory
from domain.errors import InvalidValue

BUCKETS = len(USUAL_CURVE)
MINUTE = 60 * 1_000_000
#: A symbol that trades late.
OWN = np.linspace(1, 5, BUCKETS) / np.linspace(1, 5, BUCKETS).sum()


def planted(sessions, seed=0, noise=0.2, curve=OWN):
    random = np.random.default_rng(seed)
    size = 1e6 * np.exp(0.3 * random.standard_normal((sessions, 1)))
    return size * curve * np.exp(noise * random.standard_normal((sessions, len(curve))))


def distance(one, other):
    return float(np.abs(one - other).sum())


def test_without_history_it_is_the_usual_curve():
    assert volume_curve(np.zeros((0, BUCKETS))) == pytest.approx(USUAL_CURVE)
    assert USUAL_CURVE.sum() == pytest.approx(1.0)


@given(st.integers(0, 40), st.integers(0, 99))
def test_shares_are_positive_and_sum_to_one(sessions, seed):
    curve = volume_curve(planted(sessions, seed))
    assert curve.sum() == pytest.approx(1.0)
    assert (curve > 0).all()


def test_a_planted_curve_is_found_the_better_the_more_sessions():
    errors = [distance(volume_curve(planted(n)), OWN) for n in (0, 2, 10, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_noise_about_the_usual_curve_is_shrunk_towards_it():
    sessions = planted(3, noise=0.5, curve=USUAL_CURVE)
    own = (sessions / sessions.sum(1, keepdims=True)).mean(0)
    assert distance(volume_curve(sessions), USUAL_CURVE) < 0.5 * distance(own, USUAL_CURVE)


def test_sessions_without_volume_tell_nothing():
    sessions = planted(4)
    padded = np.concatenate([sessions, np.zeros((3, BUCKETS))])
    assert volume_curve(padded).tolist() == volume_curve(sessions).tolist()


@pytest.mark.parametrize("bad", [np.full((2, BUCKETS), -1.0), np.full((2, BUCKETS), np.nan)])
def test_impossible_volumes_are_a_typed_error(bad):
    with pytest.raises(InvalidValue):
        volume_curve(bad)
    with pytest.raises(InvalidValue):
        update(VolumeForecast(USUAL_CURVE, 1e6), bad[0])


def test_another_number_of_buckets_is_a_typed_error():
    with pytest.raises(InvalidValue):
        volume_curve(np.ones((3, BUCKETS + 1)))
    with pytest.raises(InvalidValue):
        update(VolumeForecast(USUAL_CURVE, 1e6), np.ones(BUCKETS + 1))


@given(st.floats(0.2, 5.0), st.integers(0, BUCKETS))
def test_an_active_morning_raises_the_rest_but_less_than_in_proportion(activity, passed):
    forecast = VolumeForecast(USUAL_CURVE, 1e6)
    traded = activity * forecast.buckets[:passed]
    known = update(forecast, traded)
    assert known.buckets[:passed] == pytest.approx(traded)
    assert known.curve.sum() == pytest.approx(1.0)
    ratio = known.buckets[passed:] / forecast.buckets[passed:]
    low, high = sorted((1.0, activity))
    assert ((ratio >= low - 1e-9) & (ratio <= high + 1e-9)).all()


def test_the_later_it_is_the_more_counts_what_has_traded():
    forecast = VolumeForecast(USUAL_CURVE, 1e6)
    ratios = [
        update(forecast, 2 * forecast.buckets[:passed]).buckets[-1] / forecast.buckets[-1]
        for passed in range(1, BUCKETS)
    ]
    assert ratios == sorted(ratios)


def test_on_a_forecast_day_nothing_changes():
    forecast = VolumeForecast(USUAL_CURVE, 1e6)
    known = update(forecast, forecast.buckets[:5])
    assert known.buckets == pytest.approx(forecast.buckets)


def minute_bars(days, opens=14 * 60 + 30, minutes=390):
    close = np.arange(1, minutes + 1) + opens
    times = np.concatenate([day * 1440 + close for day in days]).astype(np.int64) * MINUTE
    price = np.full(len(times), 10.0)
    volume = np.tile(np.arange(minutes, dtype=float), len(days))
    return PriceHistory(times, price, price, price, price, volume)


def test_minute_bars_become_half_hours_from_each_days_own_open():
    winter, summer = minute_bars([3]), minute_bars([200], opens=13 * 60 + 30)
    # The last bar of this one closes at midnight, and is the day's still.
    late = minute_bars([40, 41], opens=24 * 60 - 390)
    expected = np.arange(390.0).reshape(13, 30).sum(1)
    for bars in (winter, summer):
        assert session_volumes(bars).tolist() == [expected.tolist()]
    assert session_volumes(late).tolist() == [expected.tolist()] * 2


def test_daily_bars_and_broken_sessions_give_no_curve():
    times = np.arange(30, dtype=np.int64) * 1440 * MINUTE
    ones = np.ones(30)
    assert session_volumes(PriceHistory(times, ones, ones, ones, ones, ones)).shape == (0, BUCKETS)
    assert session_volumes(minute_bars([3], minutes=100)).shape == (0, BUCKETS)
    assert session_volumes(minute_bars([3]).last(1)).shape == (0, BUCKETS)
