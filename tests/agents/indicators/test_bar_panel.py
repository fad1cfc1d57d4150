import numpy as np
import pytest

from agents.indicators.bar_panel import panel_of
from agents.price_history import PriceHistory
from domain.errors import DataQualityError
from tests.agents.indicators.conftest import walk


def changed(column, row, value):
    history = walk(50)
    columns = {name: values.copy() for name, values in history._asdict().items()}
    columns[column][row] = value
    return PriceHistory(**columns)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("close", np.nan),
        ("open", np.nan),
        ("high", np.inf),
        ("high", 1.0),
        ("low", 1e6),
        ("low", 0.0),
        ("low", -3.0),
        ("volume", -1.0),
        ("volume", np.nan),
        ("volume", np.inf),
    ],
)
def test_a_bar_that_cannot_be_is_named(column, value):
    histories = {"FINE": walk(50), "BAD": changed(column, 30, value)}
    with pytest.raises(DataQualityError, match=r"The bar of BAD at 1970-01-08T18:00:00\+00:00 has"):
        panel_of(histories)


def test_a_gap_of_missing_prices_is_refused_after_listing_only():
    gap = walk(50)
    columns = [column.astype(float) for column in gap.prices()]
    for column in columns:
        column[20:23] = np.nan
    with pytest.raises(DataQualityError, match="has a price that can't be"):
        panel_of({"GAP": PriceHistory(gap.times, *columns)})


def test_bars_out_of_order_are_refused():
    times = walk(50).times.copy()
    times[30] = times[29]
    with pytest.raises(DataQualityError, match="not later than the one before"):
        panel_of({"A": walk(50), "B": walk(50)._replace(times=times)})


def test_the_next_symbol_may_begin_earlier_and_may_be_empty():
    empty = PriceHistory(*(column[:0] for column in walk(50)))
    panel = panel_of({"A": walk(50), "NONE": empty, "B": walk(20)})
    assert [history.length for _, history in panel.histories()] == [50, 0, 20]
    assert panel.rows == 70
    assert panel_of({}).rows == 0
