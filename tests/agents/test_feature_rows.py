import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import feature_rows
from agents.feature_rows import DatedRows, FeatureRows
from agents.indicators import FEATURE_NAMES, SENTIMENT, compute
from agents.model import Model
from agents.price_history import price_histories
from agents.sentiment.news import NO_NEWS, News


@pytest.fixture(scope="module")
def history(bars):
    return price_histories(bars)["AAA"]


@pytest.fixture
def computed(monkeypatch):
    """Return the number of bars of every computation."""
    seen = []

    def counted(bars, news, *, newest):
        seen.append(bars.length)
        return compute(bars, news, newest=newest)

    monkeypatch.setattr(feature_rows, "compute", counted)
    return seen


def ask(rows, history, end, count=50, prepared=lambda _: None):
    return rows.newest(cut(history, end), count, NO_NEWS, prepared)


def cut(history, end):
    return history._replace(**{name: column[:end] for name, column in history._asdict().items()})


def test_rows_are_those_of_the_whole_history_whatever_was_asked_before(history, computed):
    rows, whole = FeatureRows(), compute(history)
    for end in (400, 401, 405, 500, 300, 620):
        times, found = ask(rows, history, end)
        assert (times == history.times[end - 50 : end]).all()
        assert found == pytest.approx(whole[end - 50 : end], abs=1e-9, nan_ok=True)


def test_what_is_known_is_not_computed_again(history, computed):
    rows = FeatureRows()
    ask(rows, history, 400)
    ask(rows, history, 400)
    assert len(computed) == 1
    ask(rows, history, 402)
    assert len(computed) == 2


def test_prepared_rows_are_taken(history, computed):
    whole = compute(history)
    known = dict(zip(history.times.tolist(), whole, strict=True))
    _, found = ask(FeatureRows(), history, 400, prepared=known.get)
    assert computed == []
    np.testing.assert_array_equal(found, whole[350:400])


def test_a_short_history_gives_what_it_has(history):
    times, found = ask(FeatureRows(), history, 10)
    assert len(times) == len(found) == 10


@pytest.fixture
def model(trained_risk):
    return trained_risk.model


@pytest.fixture
def predicted(monkeypatch):
    """Return the number of rows of every forward pass."""
    seen, predict = [], Model.predict

    def counted(self, rows):
        seen.append(len(rows))
        return predict(self, rows)

    monkeypatch.setattr(Model, "predict", counted)
    return seen


def test_a_models_outputs_are_computed_once_a_bar(history, model, predicted):
    rows = FeatureRows()
    for end in (400, 400, 401, 403):
        outputs = rows.outputs(model, *ask(rows, history, end))
    assert predicted == [50, 1, 2]
    columns = [FEATURE_NAMES.index(name) for name in model.specification.inputs]
    np.testing.assert_array_equal(outputs, model.predict(compute(history)[353:403][:, columns]))


def test_another_models_outputs_are_its_own(history, model, classics, predicted):
    rows = FeatureRows()
    asked = ask(rows, history, 400)
    ours, theirs = rows.outputs(model, *asked), rows.outputs(classics["risk_manager"].model, *asked)
    assert predicted == [50, 50]
    assert (ours != theirs).any()


def test_a_late_headline_changes_the_rows_after_it(history, classics, predicted):
    model = classics["market_analyst"].model
    assert SENTIMENT in model.specification.inputs
    rows, plain = FeatureRows(), FeatureRows()
    times, before = ask(rows, history, 400)
    quiet = rows.outputs(model, times, before)
    news = News(times[30:31], np.array([0.8]))
    rows.hear(int(times[30]), news)
    _, after = ask(rows, history, 400)
    np.testing.assert_array_equal(
        after, plain.newest(cut(history, 400), 50, news, lambda _: None)[1]
    )
    assert (after[30:, -1] > 0.0).any()
    assert not before[:, -1].any(), "rows that were handed out may not change"
    loud = rows.outputs(model, times, after)
    assert predicted == [50, 20]
    np.testing.assert_array_equal(loud[:30], quiet[:30])
    assert (loud[30:33] != quiet[30:33]).any()


@given(ends=st.lists(st.integers(1, 120), max_size=12), width=st.integers(1, 40))
def test_kept_rows_are_found_and_bounded(ends, width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_rows, "_KEPT", 60)
        held = DatedRows(1)
        for end in ends:
            times = np.arange(max(0, end - width), end)
            held.put(times, times[:, None] * 2.0)
            np.testing.assert_array_equal(held.all_of(times), times[:, None] * 2.0)
            assert len(held.times) <= 60
            assert (np.diff(held.times) > 0).all()
            np.testing.assert_array_equal(held.rows[:, 0], held.times * 2.0)
