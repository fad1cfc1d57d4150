from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.indicators import (
    FEATURE_NAMES,
    FEATURES,
    SENTIMENT,
    WARM_UP,
    compute,
    compute_frame,
    compute_latest,
)
from agents.indicators.features import WINDOW
from agents.price_history import PriceHistory, price_histories
from agents.sentiment.news import News


def cut(history, length):
    return PriceHistory(*(column[:length] for column in history))


@pytest.fixture(scope="module")
def histories(market):
    return price_histories(market(days=1500))


def test_the_live_row_equals_the_batch_row_wherever_history_ends(histories):
    for history in histories.values():
        batch = compute(history)
        for length in range(WARM_UP + 1, history.length + 1, 83):
            live = np.array(list(compute_latest(cut(history, length)).values()))
            np.testing.assert_allclose(live, batch[length - 1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("newest", [1, 3, 400, 5000])
def test_the_newest_rows_are_the_last_of_all_bit_for_bit(histories, newest):
    history = histories["AAA"]
    news = News(history.times[::7] - 1, np.linspace(-1.0, 1.0, len(history.times[::7])))
    whole = compute(history, news)
    np.testing.assert_array_equal(compute(history, news, newest=newest), whole[-newest:])


@pytest.mark.parametrize("length", [2, 30, 64, 65, 200, 900])
def test_truncating_the_future_changes_nothing(histories, length):
    history = histories["BBB"]
    np.testing.assert_allclose(
        compute(cut(history, length)), compute(history)[:length], rtol=0, atol=1e-12
    )


@settings(max_examples=20, deadline=None)
@given(price=st.floats(0.01, 1000), volume=st.floats(0.01, 1000))
def test_features_have_no_scale(price, volume):
    history = price_histories(_short())["X"]
    scaled = PriceHistory(
        history.times, *(c * price for c in history.prices()[:4]), history.volume * volume
    )
    np.testing.assert_allclose(compute(scaled), compute(history), rtol=0, atol=1e-7)


def _short():
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(0.01 * random.standard_normal(90)))
    return pl.DataFrame(
        {
            "symbol": ["X"] * 90,
            "timestamp": pl.datetime_range(
                pl.datetime(2020, 1, 1), pl.datetime(2020, 3, 30), "1d", eager=True, time_zone="UTC"
            ),
            "open": close * 0.999,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": 1e6 * np.exp(0.2 * random.standard_normal(90)),
        }
    )


def test_each_look_back_is_where_the_first_value_stands(histories):
    table = compute(histories["AAA"])
    for name, indicator in FEATURES.items():
        column = table[:, FEATURE_NAMES.index(name)]
        assert int(np.flatnonzero(np.isfinite(column))[0]) == indicator.look_back, name
        assert np.isfinite(column[indicator.look_back :]).all(), name
        assert indicator.look_back < WARM_UP
        assert indicator.description


def test_values_are_those_of_talib(histories):
    bars = histories["CCC"]
    table = dict(zip(FEATURE_NAMES, compute(bars).T, strict=True))
    prices = bars.high, bars.low, bars.close
    np.testing.assert_allclose(table["rsi_14"], talib.RSI(bars.close, 14) / 100 - 0.5, atol=1e-12)
    np.testing.assert_allclose(table["adx_14"], talib.ADX(*prices, 14) / 100, atol=1e-12)
    np.testing.assert_allclose(
        table["atr_percent"], talib.ATR(*prices, 14) / bars.close, atol=1e-12
    )
    upper, _, lower = talib.BBANDS(bars.close, 20)
    np.testing.assert_allclose(
        table["bollinger_b"], (bars.close - lower) / (upper - lower) - 0.5, atol=1e-8
    )


def test_the_frame_has_a_row_per_bar_and_documented_columns(bars):
    frame = compute_frame(bars.sample(fraction=1.0, shuffle=True, seed=1))
    assert frame.columns == ["symbol", "timestamp", *FEATURE_NAMES]
    assert frame.select("symbol", "timestamp").equals(bars.select("symbol", "timestamp"))
    assert frame[SENTIMENT].to_list() == [0.0] * bars.height


def test_constant_prices_and_no_volume_give_nan_not_a_number(bars):
    flat = bars.filter(pl.col("symbol") == "AAA").with_columns(
        *(pl.lit(10.0).alias(c) for c in ("open", "high", "low", "close")), volume=pl.lit(0.0)
    )
    latest = dict(
        zip(FEATURE_NAMES, compute_frame(flat).select(FEATURE_NAMES).row(-1), strict=True)
    )
    assert np.isnan(latest["bollinger_b"])
    assert np.isnan(latest["momentum_21"])
    assert latest["return_5"] == 0.0


def test_two_rows_give_returns_and_no_more(bars):
    row = compute_frame(bars.head(2)).row(-1, named=True)
    assert np.isfinite(row["return_1"])
    assert np.isnan(row["return_5"])


def test_news_moves_sentiment_only_after_it_was_published(bars, until):
    news = pl.DataFrame(
        {
            "symbol": ["AAA"],
            "timestamp": [until - timedelta(hours=1)],
            "headline": ["Profits surge to a record"],
            "source": ["test"],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    tone = compute_frame(bars, news).filter(pl.col(SENTIMENT) != 0)
    assert tone["symbol"].unique().to_list() == ["AAA"]
    assert tone["timestamp"].min() == until
    assert tone[SENTIMENT][0] > tone[SENTIMENT][1] > 0


@pytest.mark.parametrize(("column", "value"), [("volume", -1.0), ("low", 0.0), ("close", np.nan)])
def test_bars_after_one_that_cannot_be_have_no_features_live_or_in_batch(column, value):
    random = np.random.default_rng(4)
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, WINDOW + 120)))
    bars = PriceHistory(
        np.arange(len(close)),
        close,
        close * 1.01,
        close * 0.99,
        close,
        random.lognormal(14.0, 0.3, len(close)),
    )
    getattr(bars, column)[100] = value
    rows = compute(bars)
    assert np.isnan(rows[100 : 100 + WINDOW, :-1]).all()
    if not np.isnan(value):  # a smoothing never forgets NaN
        assert np.isfinite(rows[100 + WINDOW :]).all()
    for newest in (150, 100 + WINDOW - 1):
        latest = compute_latest(PriceHistory(*(part[: newest + 1] for part in bars)))
        assert np.isnan(list(latest.values())).all()
