import itertools
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from agents.learning.samples import HORIZON_DAYS, panel, purged_slices, split, within
from domain.errors import DataQualityError


@pytest.fixture(scope="module")
def rows(bars, features, until):
    return panel(bars, features, until)


def test_labels_are_what_the_definitions_say(rows, bars):
    own = bars.filter(pl.col("symbol") == "BBB")
    stamps = own["timestamp"].dt.epoch("us").to_list()
    pick = np.flatnonzero(rows.symbols == "BBB")[17]
    at = stamps.index(rows.times[pick])
    close, opened = own["close"].to_numpy(), own["open"].to_numpy()
    ahead = np.diff(np.log(close[at : at + HORIZON_DAYS + 1]))
    assert rows.forward_return[pick] == pytest.approx(
        np.log(close[at + HORIZON_DAYS] / opened[at + 1]), abs=1e-9
    )
    assert rows.forward_variance[pick] == pytest.approx((ahead**2).mean(), rel=1e-6)
    assert rows.day_return[pick] == pytest.approx(ahead[0], abs=1e-9)
    usual = np.log(own["volume"].to_numpy()[at - 19 : at + 1]).mean()
    assert rows.next_volume[pick] == pytest.approx(np.log(own["volume"][at + 1]) - usual, abs=1e-9)


def test_nothing_is_known_whose_outcome_lies_beyond_the_cutoff(rows, until):
    last_days = np.unique(rows.times)[-HORIZON_DAYS:]
    assert not rows.known[np.isin(rows.times, last_days)].any()
    assert rows.known[~np.isin(rows.times, last_days)].all()


def test_no_label_reaches_into_a_later_slice(rows):
    days = np.unique(rows.take(rows.known).times)
    slices = split(rows)
    for earlier, later in (
        (slices.training, slices.tuning),
        (slices.tuning, slices.validation),
    ):
        last, first = (np.searchsorted(days, t) for t in (earlier.times[-1], later.times[0]))
        assert first - last == HORIZON_DAYS + 1


def test_a_period_holds_its_rows_only(rows, until):
    start = until - timedelta(days=60)
    inside = within(rows, start, until - timedelta(days=30))
    assert inside.rows == 3 * 30
    assert inside.known.all()


def test_no_usable_row_is_a_typed_error(bars, features, until):
    with pytest.raises(DataQualityError, match="No bar before"):
        panel(bars.head(30), features.head(30), until)


def test_purged_slices_cover_all_days_but_those_whose_labels_reach_the_next_slice():
    times = np.repeat(np.arange(50, dtype=np.int64), 2)
    slices = purged_slices(times, 4)
    days = [np.unique(times[rows]).tolist() for rows in slices]
    assert [each[0] for each in days] == [0, 12, 25, 38]
    assert [each[-1] for each in days] == [6, 19, 32, 49]
    for one, after in itertools.pairwise(days):
        assert one[-1] + HORIZON_DAYS < after[0]
