"""Bent bars: the market moves as the scenario says, each bar stays possible, the past stays."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from domain.errors import DataQualityError
from evaluation.stress_market import stressed
from evaluation.stress_scenarios import SCENARIOS, Scenario
from evaluation.worlds import edge_world

BARS = edge_world(seed=3, days=200).bars
INSTANTS = BARS["timestamp"].unique().sort()
START = INSTANTS[120]


def closes(bars):
    wide = bars.pivot(on="symbol", index="timestamp", values="close").sort("timestamp")
    return wide.drop("timestamp").to_numpy()


def returns_of(bars, days):
    prices = closes(bars)[-days - 1 :]
    return prices[1:] / prices[:-1] - 1.0


moves = st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=12).map(tuple)


@settings(max_examples=25, deadline=None)
@given(moves=moves, volatility=st.floats(0.0, 4.0), overnight=st.floats(0.0, 1.0))
def test_the_mean_of_all_symbols_moves_as_the_scenario_says(moves, volatility, overnight):
    scenario = Scenario(name="x", moves=moves, volatility=volatility, overnight=overnight)
    bent = stressed(BARS, scenario, start=START)
    told = returns_of(bent, len(moves))
    if (told > -0.949).all():  # the mean β is 1, and what is each symbol's own cancels out
        np.testing.assert_allclose(told.mean(axis=1), moves, atol=1e-9)
    possible = (
        (pl.col("high") >= pl.max_horizontal("open", "close") * (1 - 1e-12))
        & (pl.col("low") <= pl.min_horizontal("open", "close") * (1 + 1e-12))
        & (pl.col("low") > 0)
    )
    assert bent.filter(~possible).is_empty()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_past_is_untouched_and_the_days_are_those_that_were_asked_for(scenario):
    bent = stressed(BARS, scenario, start=START, largest=BARS["symbol"][0])
    before = pl.col("timestamp") < START
    assert_frame_equal(bent.filter(before), BARS.filter(before))
    assert bent["timestamp"].max() == INSTANTS[120 + scenario.length - 1]
    assert bent.schema == BARS.schema


def test_correlation_one_leaves_nothing_that_is_a_symbols_own():
    scenario = Scenario(name="x", moves=(-0.02, 0.01, -0.03), together=True)
    told = returns_of(stressed(BARS, scenario, start=START), 3)
    np.testing.assert_allclose(np.corrcoef(told.T), 1.0, atol=1e-9)
    np.testing.assert_allclose(told.mean(axis=1), scenario.moves, atol=1e-9)
    deviations = returns_of(BARS.filter(pl.col("timestamp") < START), 119).std(axis=0)
    np.testing.assert_allclose(told[0] / -0.02, deviations / deviations.mean(), atol=1e-9)


def test_the_largest_position_opens_lower_and_the_others_do_not():
    first, second = BARS["symbol"].unique().sort()[:2]
    scenario = Scenario(name="x", sessions=2, gap=-0.4)
    bent = stressed(BARS, scenario, start=START, largest=first)
    for symbol, expected in ((first, -0.4), (second, None)):
        was = BARS.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") <= START))
        now = bent.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") == START))
        if expected is None:
            assert now["close"].item() == pytest.approx(was["close"][-1])
            continue
        before = was["close"][-2]
        assert now["close"].item() == pytest.approx(before * 0.6)
        drift = was["close"][-1] / was["open"][-1]
        assert now["open"].item() == pytest.approx(before * 0.6 / drift)


def test_a_low_within_the_day_is_reached():
    scenario = Scenario(name="x", moves=(-0.01,), lows=((0, -0.09),))
    plain = Scenario(name="x", moves=(-0.01,))
    day = pl.col("timestamp") == START
    deep, usual = (stressed(BARS, s, start=START).filter(day)["low"] for s in (scenario, plain))
    assert (deep < usual).all()
    before = BARS.filter(pl.col("timestamp") == INSTANTS[119])["close"]
    assert float((deep / before - 1).mean()) == pytest.approx(-0.09, abs=1e-9)


def test_volume_dries_up():
    bent = stressed(BARS, Scenario(name="x", moves=(0.0,), volume=0.02), start=START)
    day = pl.col("timestamp") == START
    ratio = bent.filter(day)["volume"] / BARS.filter(day)["volume"]
    assert all(math.isclose(value, 0.02) for value in ratio)


def test_without_days_or_with_a_missing_bar_nothing_is_bent():
    scenario = Scenario(name="x", sessions=5)
    for start in (INSTANTS[197], INSTANTS[1]):
        with pytest.raises(DataQualityError, match="needs 5 sessions"):
            stressed(BARS, scenario, start=start)
    gone = (pl.col("symbol") == BARS["symbol"][0]) & (pl.col("timestamp") == INSTANTS[121])
    with pytest.raises(DataQualityError, match="lacks a bar"):
        stressed(BARS.filter(~gone), scenario, start=START)
