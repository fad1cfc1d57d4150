import numpy as np
import pytest

from agents import feature_rows
from agents.feature_rows import FeatureRows
from agents.indicators import compute
from agents.price_history import price_histories
from agents.sentiment.news import NO_NEWS


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
    known = history._replace(**{name: column[:end] for name, column in history._asdict().items()})
    return rows.newest(known, count, NO_NEWS, prepared)


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
