from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.indicators.alphas import (
    ALPHAS,
    LONGEST,
    WINDOWS,
    compute_alphas,
    latest_alphas,
    page,
)
from agents.indicators.bar_panel import panel_of
from agents.price_history import PriceHistory
from domain.errors import InvalidValue
from tests.agents.indicators.conftest import constant, cut, histories, ticks, walk


def of(history):
    return compute_alphas(panel_of({"X": history}))


def test_the_page_is_made_from_the_table():
    assert (Path(__file__).parents[3] / "docs" / "alphas.md").read_text() == page()
    assert len(ALPHAS) >= 60


def test_each_first_value_stands_where_the_table_says(kinds):
    for name, values in of(kinds["walk"]).items():
        first = ALPHAS[name].look_back
        assert first < LONGEST
        assert np.isnan(values[:first]).all(), name
        assert np.isfinite(values[first:]).all(), name


@settings(max_examples=25, deadline=None)
@given(history=histories(longest=300))
def test_cutting_the_future_off_or_the_far_past_changes_nothing(history):
    whole = of(history)
    length = history.length // 2 + 1
    shorter = of(cut(history, length))
    latest = latest_alphas(cut(history, length))
    for name, values in whole.items():
        np.testing.assert_allclose(shorter[name], values[:length], rtol=0, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(
            latest[name], values[length - 1], rtol=0, atol=1e-9, err_msg=name
        )


@settings(max_examples=10, deadline=None)
@given(price=st.floats(0.01, 1000), volume=st.floats(0.5, 1000))
def test_alphas_have_no_scale(price, volume):
    history = walk(150, 6)
    scaled = PriceHistory(
        history.times, *(c * price for c in history.prices()[:4]), history.volume * volume
    )
    ours, theirs = of(history), of(scaled)
    for name in ALPHAS:
        # log(1 + volume) is not quite free of the volume's scale.
        tolerance = 1e-4 if name.startswith(("price_volume", "return_volume")) else 1e-9
        np.testing.assert_allclose(theirs[name], ours[name], atol=tolerance, err_msg=name)


@pytest.mark.parametrize("n", WINDOWS)
def test_values_are_the_formulas(n):
    bars = walk(90, 9)
    found = {name: values[-1] for name, values in of(bars).items()}
    last, since = slice(-n, None), np.log(bars.close[-n:])
    returns = np.diff(np.log(bars.close))
    volumes = np.log1p(bars.volume)
    slope, start = np.polyfit(np.arange(n), since, 1)
    highest, lowest = bars.high[last].max(), bars.low[last].min()
    expected = {
        "momentum": bars.close[-1] / bars.close[-1 - n] - 1,
        "mean_distance": bars.close[-1] / bars.close[last].mean() - 1,
        "volatility": returns[last].std(),
        "range": np.sqrt((np.log(bars.high / bars.low)[last] ** 2).mean() / (4 * np.log(2))),
        "slope": slope,
        "fit": np.corrcoef(np.arange(n), since)[0, 1] ** 2,
        "residual": since[-1] - (start + slope * (n - 1)),
        "below_high": bars.close[-1] / highest - 1,
        "above_low": bars.close[-1] / lowest - 1,
        "range_position": (bars.close[-1] - lowest) / (highest - lowest),
        "up_share": (returns[last] > 0).mean(),
        "gain_share": returns[last].clip(0).sum() / np.abs(returns[last]).sum(),
        "efficiency": abs(returns[last].sum()) / np.abs(returns[last]).sum(),
        "price_volume": np.corrcoef(since, volumes[last])[0, 1],
        "return_volume": np.corrcoef(returns[last], np.diff(volumes)[last])[0, 1],
        "relative_volume": bars.volume[-1] / bars.volume[last].mean(),
        "volume_variation": bars.volume[last].std() / bars.volume[last].mean(),
        "signed_volume": (np.sign(returns) * bars.volume[1:])[last].sum() / bars.volume[last].sum(),
    }
    for name, value in expected.items():
        assert found[f"{name}_{n}"] == pytest.approx(value, abs=1e-9), name
    assert {name for name in ALPHAS if name.endswith(f"_{n}")} == {f"{e}_{n}" for e in expected}


def test_a_bars_shape():
    one = PriceHistory(
        np.arange(2), *(np.array([p, p]) for p in (10.0, 12.0, 9.0, 11.0)), np.ones(2)
    )
    found = {name: values[-1] for name, values in of(one).items()}
    assert found["body"] == pytest.approx(0.1)
    assert found["extent"] == pytest.approx(0.3)
    assert found["upper_shadow"] == pytest.approx(0.1)
    assert found["lower_shadow"] == pytest.approx(0.1)
    assert found["close_location"] == pytest.approx(1 / 3)
    assert found["gap"] == pytest.approx(10 / 11 - 1)


def test_what_does_not_move_or_trade_has_no_ratio():
    latest = latest_alphas(constant(200))
    undefined = {name for name, value in latest.items() if np.isnan(value)}
    assert all(
        latest[name] == pytest.approx(0.0, abs=1e-12) for name in ALPHAS if name not in undefined
    )
    assert not {"momentum_20", "volatility_20", "up_share_20", "body"} & undefined
    assert {"fit_20", "efficiency_20", "price_volume_20", "relative_volume_20"} <= undefined


def test_symbols_do_not_see_each_other():
    together = compute_alphas(panel_of({"A": walk(100, 1), "B": ticks(100, 2)}), ["momentum_5"])
    assert np.isnan(together["momentum_5"][100:105]).all()
    np.testing.assert_array_equal(together["momentum_5"][100:], of(ticks(100, 2))["momentum_5"])


def test_an_unknown_name_is_a_typed_error():
    with pytest.raises(InvalidValue, match="no alpha named beauty"):
        compute_alphas(panel_of({}), ["beauty"])
