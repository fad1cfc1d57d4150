import numpy as np
import pytest
import talib
from hypothesis import given, settings
from talib import abstract

from agents.indicators.bar_panel import panel_of
from agents.indicators.technical import INDICATORS, analyse, analyse_panel
from agents.price_history import PriceHistory
from domain.errors import InvalidValue
from tests.agents.indicators.conftest import constant, cut, histories, ticks, walk

#: Column → TA-Lib's function, its parameters, and which of its outputs.
THEIRS = {
    "rsi_14": ("RSI", {"timeperiod": 14}, 0),
    "macd": ("MACD", {}, 0),
    "macd_signal": ("MACD", {}, 1),
    "macd_histogram": ("MACD", {}, 2),
    "bollinger_upper": ("BBANDS", {"timeperiod": 20}, 0),
    "bollinger_middle": ("BBANDS", {"timeperiod": 20}, 1),
    "bollinger_lower": ("BBANDS", {"timeperiod": 20}, 2),
    "atr_14": ("ATR", {"timeperiod": 14}, 0),
    "adx_14": ("ADX", {"timeperiod": 14}, 0),
    "plus_di_14": ("PLUS_DI", {"timeperiod": 14}, 0),
    "minus_di_14": ("MINUS_DI", {"timeperiod": 14}, 0),
    "stochastic_k": ("STOCH", {"fastk_period": 14}, 0),
    "stochastic_d": ("STOCH", {"fastk_period": 14}, 1),
    "obv": ("OBV", {}, 0),
    "sma_20": ("SMA", {"timeperiod": 20}, 0),
    "sma_50": ("SMA", {"timeperiod": 50}, 0),
    "sma_200": ("SMA", {"timeperiod": 200}, 0),
    "ema_12": ("EMA", {"timeperiod": 12}, 0),
    "ema_20": ("EMA", {"timeperiod": 20}, 0),
    "ema_26": ("EMA", {"timeperiod": 26}, 0),
    "roc_10": ("ROC", {"timeperiod": 10}, 0),
    "cci_20": ("CCI", {"timeperiod": 20}, 0),
    "mfi_14": ("MFI", {"timeperiod": 14}, 0),
}


def theirs(history, name, parameters, output):
    inputs = {
        column: getattr(history, column) for column in ("open", "high", "low", "close", "volume")
    }
    found = abstract.Function(name)(inputs, **parameters)
    return found[output] if isinstance(found, list) else found


@pytest.mark.parametrize("kind", ["walk", "ticks", "constant"])
def test_values_and_nans_are_talibs(kinds, kind):
    ours = analyse(kinds[kind])
    for column, (name, parameters, output) in THEIRS.items():
        expected = theirs(kinds[kind], name, parameters, output)
        np.testing.assert_allclose(ours[column], expected, rtol=0, atol=1e-9, err_msg=column)


def test_channels_are_made_of_talibs_parts(kinds):
    bars = kinds["walk"]
    ours = analyse(bars)
    np.testing.assert_array_equal(ours["donchian_upper"], talib.MAX(bars.high, 20))
    np.testing.assert_array_equal(ours["donchian_lower"], talib.MIN(bars.low, 20))
    width = 2 * talib.ATR(bars.high, bars.low, bars.close, 10)
    width[:19] = np.nan  # the mean begins later
    np.testing.assert_allclose(ours["keltner_upper"] - ours["keltner_middle"], width, atol=1e-9)
    np.testing.assert_allclose(ours["keltner_middle"] - ours["keltner_lower"], width, atol=1e-9)


def test_vwap_is_the_money_over_the_volume(kinds):
    bars = kinds["walk"]
    ours = analyse(bars, ["vwap_20", "vwap_session"])
    typical = (bars.high + bars.low + bars.close) / 3
    last = slice(-20, None)
    assert ours["vwap_20"][-1] == pytest.approx(
        np.average(typical[last], weights=bars.volume[last]), rel=1e-12
    )
    days = bars.times // 86_400_000_000
    for row in (0, 3, 4, 1000, 2499):
        day = (days == days[row]) & (np.arange(len(days)) <= row)
        expected = np.average(typical[day], weights=bars.volume[day])
        assert ours["vwap_session"][row] == pytest.approx(expected, rel=1e-12)


def test_what_was_not_traded_has_no_vwap():
    ours = analyse(constant(40), ["vwap_20", "vwap_session"])
    assert np.isnan(ours["vwap_20"]).all()
    assert np.isnan(ours["vwap_session"]).all()


def test_each_first_value_stands_where_the_table_says(kinds):
    for name, values in analyse(kinds["walk"]).items():
        first = INDICATORS[name].look_back
        assert np.isnan(values[:first]).all(), name
        assert np.isfinite(values[first:]).all(), name


@settings(max_examples=25, deadline=None)
@given(history=histories())
def test_cutting_the_future_off_changes_nothing(history):
    whole = analyse(history)
    for length in {2, history.length // 2 + 1, history.length}:
        for name, values in analyse(cut(history, length)).items():
            np.testing.assert_allclose(
                values, whole[name][:length], rtol=1e-11, atol=1e-11, err_msg=name
            )


def test_a_panel_is_its_symbols_one_by_one():
    apart = {"A": walk(300, 1), "B": ticks(7), "C": walk(2, 3), "D": ticks(250, 4)}
    panel = panel_of(apart)
    together = analyse_panel(panel)
    assert list(together) == list(INDICATORS)
    for (rows, _), history in zip(panel.histories(), apart.values(), strict=True):
        for name, values in analyse(history).items():
            np.testing.assert_array_equal(together[name][rows], values, err_msg=name)


def test_ten_thousand_symbols():
    panel = panel_of({str(number): walk(30, number) for number in range(10_000)})
    table = analyse_panel(panel, ["rsi_14", "bollinger_lower"])
    assert len(table["rsi_14"]) == 300_000
    assert np.isnan(table["rsi_14"]).sum() == 10_000 * 14
    assert list(table) == ["rsi_14", "bollinger_lower"]


def test_a_bar_before_listing_gives_nan_as_talib():
    history = walk(60, 2)
    unlisted = [column.astype(float) for column in history.prices()]
    for column in unlisted:
        column[:9] = np.nan
    late = PriceHistory(history.times, *unlisted)
    ours = analyse_panel(panel_of({"LATE": late}), ["rsi_14", "atr_14", "obv"])
    expected = talib.RSI(late.close, 14)
    np.testing.assert_array_equal(ours["rsi_14"], expected)
    assert np.isnan(expected[: 9 + 14]).all()
    assert np.isfinite(expected[9 + 14 :]).all()


def test_two_bars_and_none():
    two = analyse(cut(walk(40), 2))
    assert {name for name, values in two.items() if np.isfinite(values).any()} == {
        "obv",
        "vwap_session",
    }
    assert all(len(values) == 0 for values in analyse(cut(walk(40), 0)).values())


def test_an_unknown_name_is_a_typed_error():
    with pytest.raises(InvalidValue, match="no indicator named rsi_15"):
        analyse(walk(40), ["rsi_15"])
