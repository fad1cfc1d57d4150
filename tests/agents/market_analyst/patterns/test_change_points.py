import numpy as np
import pytest

from agents.market_analyst.patterns.change_points import Alarm, cusum, find_change_points
from agents.market_analyst.patterns.swings import chart_of
from tests.agents.market_analyst.patterns.conftest import bar_at, bars_of


def test_false_alarms_are_as_rare_as_published():
    """465 observations apart on average (Montgomery, table 9.3: k = 0.5, h = 5)."""
    scores = np.random.default_rng(1).standard_normal(200_000)
    assert len(scores) / len(cusum(scores.tolist())) == pytest.approx(465, rel=0.12)


@pytest.mark.parametrize(("shift", "published"), [(1.0, 10.4), (2.0, 4.01), (0.5, 38.0)])
def test_shifts_are_noticed_as_fast_as_published(shift, published):
    random = np.random.default_rng(2)
    delays = []
    for _ in range(1000):
        alarms = cusum((shift + random.standard_normal(400)).tolist())
        delays.append(alarms[0].noticed + 1)
    assert np.mean(delays) == pytest.approx(published, rel=0.08)


def test_the_onset_is_where_the_sum_began_to_rise():
    assert cusum([0.0] * 20 + [2.0] * 5) == [Alarm(onset=20, noticed=23, direction=1)]
    assert cusum([0.0] * 20 + [-2.0] * 5) == [Alarm(onset=20, noticed=23, direction=-1)]
    assert cusum([]) == []


def test_a_change_of_drift_is_dated():
    random = np.random.default_rng(3)
    returns = np.concatenate(
        [0.01 * random.standard_normal(200), 0.015 + 0.01 * random.standard_normal(30)]
    )
    history = bars_of(100 * np.exp(np.cumsum(returns)))
    found = [p for p in find_change_points(chart_of(history)) if p.name == "change of drift"]
    first = next(p for p in found if p.confirmed > history.times[200])
    assert first.direction == 1
    onset, noticed = first.points
    assert abs(bar_at(history, onset.time) - 200) <= 12
    assert 200 <= bar_at(history, noticed.time) <= 225
    assert noticed.time == first.confirmed


def test_a_rise_of_the_volatility_has_no_direction():
    random = np.random.default_rng(5)
    returns = np.concatenate(
        [0.01 * random.standard_normal(200), 0.03 * random.standard_normal(40)]
    )
    found = find_change_points(chart_of(bars_of(100 * np.exp(np.cumsum(returns)))))
    volatility = [pattern for pattern in found if pattern.name == "change of volatility"]
    assert volatility
    assert {pattern.direction for pattern in volatility} == {0}


def test_what_does_not_move_does_not_change():
    assert find_change_points(chart_of(bars_of(np.full(300, 9.9), 0.0))) == []
    assert find_change_points(chart_of(bars_of(np.full(40, 9.9)))) == []
    line = bars_of(100 * 1.001 ** np.arange(300))
    drifts = [p for p in find_change_points(chart_of(line)) if p.name == "change of volatility"]
    assert drifts == []
