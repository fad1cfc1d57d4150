import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.indicators.incremental import TechnicalState, advanced, bars_of, restored, saved
from agents.indicators.technical import INDICATORS, analyse
from domain.errors import InvalidValue
from tests.agents.indicators.conftest import cut, histories, ticks, walk


def assert_equal(state, history, row=-1):
    batch = analyse(history)
    assert list(state.values) == list(batch)
    for name, value in state.values.items():
        scale = max(1.0, history.close.max())
        if name == "obv":
            scale = max(1.0, history.volume.sum())
        np.testing.assert_allclose(
            value, batch[name][row], rtol=1e-9, atol=1e-11 * scale, err_msg=name
        )


@settings(max_examples=60, deadline=None)
@given(history=histories(), stop=st.floats(0, 1))
def test_bar_by_bar_is_batch_also_after_a_restart(history, stop):
    state = advanced(TechnicalState(), cut(history, int(stop * history.length)))
    state = advanced(restored(saved(state)), history)
    assert_equal(state, history)


def test_every_bar_on_the_way_is_the_batchs():
    history = ticks(260, 3)
    batch = np.array(list(analyse(history).values()))
    state, rows = TechnicalState(), []
    for bar in bars_of(history):
        state = state.update(bar)
        rows.append(list(state.values.values()))
    np.testing.assert_allclose(np.array(rows).T, batch, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [walk, ticks])
def test_nothing_drifts_over_many_bars(make):
    history = make(12_000, 5)
    assert_equal(advanced(TechnicalState(), history), history)


def test_a_spike_leaves_no_trace_once_it_has_passed():
    history = walk(900, 4)
    for column in (history.open, history.high, history.close):
        column[200] *= 1e4
    assert_equal(advanced(TechnicalState(), history), history)


def test_flows_may_be_small_or_stop():
    history = walk(60)
    small = history._replace(volume=history.volume * 1e-20)
    assert_equal(advanced(TechnicalState(), small), small)
    stops = history._replace(volume=np.where(np.arange(60) < 40, history.volume, 0.0))
    assert_equal(advanced(TechnicalState(), stops), stops)
    assert advanced(TechnicalState(), stops).values["mfi_14"] == 0.0


def test_states_are_values():
    history = walk(80)
    before = advanced(TechnicalState(), cut(history, 70))
    as_it_was = saved(before)
    after = advanced(before, history)
    assert saved(before) == as_it_was != saved(after)
    assert advanced(after, history) is after
    assert saved(restored(as_it_was)) == as_it_was
    with pytest.raises(AttributeError):
        after.time = 0


@pytest.mark.parametrize(
    "changes",
    [
        {"time": 0},
        {"close": float("nan")},
        {"low": 0.0},
        {"high": 1.0},
        {"high": float("inf")},
        {"volume": -1.0},
        {"volume": float("nan")},
    ],
)
def test_a_bar_that_cannot_be_is_refused(changes):
    *known, last = bars_of(walk(30))
    state = TechnicalState()
    for bar in known:
        state = state.update(bar)
    with pytest.raises(InvalidValue, match="can't be the bar after"):
        state.update(msgspec.structs.replace(last, **changes))


def test_other_bytes_are_refused():
    with pytest.raises(InvalidValue, match="no saved state"):
        restored(b"\x81\xa3abc\x01")
    with pytest.raises(InvalidValue, match="no saved state"):
        restored(saved(TechnicalState())[:-3])


def test_without_bars_there_are_no_values():
    values = TechnicalState().values
    assert list(values) == list(INDICATORS)
    assert {name for name, value in values.items() if not np.isnan(value)} == {"obv"}
