from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.order_book import Levels, read_order_books
from domain.errors import DataQualityError
from domain.orders import Side

START = datetime(2020, 1, 2, tzinfo=UTC)
#: Two levels: 3 at 1 from the mid-price, 2 at 2, and then two per unit of price.
BOOK = Levels(torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[3.0, 2.0]]).double())


def planted_table(rows=4, depth=3, middle=100.0, size=2.0, tick=1.0):
    table = {"ts": [START + timedelta(milliseconds=100 * i) for i in range(rows)]}
    for level in range(depth):
        table[f"bid_px_{level}"] = [middle - tick * (level + 0.5)] * rows
        table[f"ask_px_{level}"] = [middle + tick * (level + 0.5)] * rows
        table[f"bid_sz_{level}"] = [size] * rows
        table[f"ask_sz_{level}"] = [2 * size] * rows
    return pl.DataFrame(table)


def cost(quantity):
    return float(BOOK.take(torch.tensor([quantity], dtype=torch.float64)))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [(0, 0), (2, 2), (3, 3), (4, 5), (5, 7), (7, 7 + 2 * (2 + 0.5))],
)
def test_a_quantity_costs_what_it_takes_from_each_level(quantity, expected):
    assert cost(quantity) == pytest.approx(expected)


@given(st.floats(0, 50), st.floats(0, 50))
def test_cost_rises_and_two_pieces_at_once_cost_no_less_than_apart(one, other):
    assert cost(one) <= cost(one + other) + 1e-9
    assert cost(one) + cost(other) <= cost(one + other) + 1e-9


def test_a_table_becomes_books():
    books = read_order_books(planted_table())
    assert (len(books), books.seconds) == (4, 0.1)
    assert books.middle.tolist() == [100.0] * 4
    assert books.against(Side.BUY).distance[0].tolist() == [0.5, 1.5, 2.5]
    assert books.against(Side.SELL).size[0].tolist() == [2.0] * 3
    assert books.imbalance().tolist() == pytest.approx([-1 / 3] * 4)
    assert len(books.rows(1, 3)) == 2


def broken(**columns):
    return planted_table().with_columns(**{name: pl.lit(v) for name, v in columns.items()})


@pytest.mark.parametrize(
    "table",
    [
        planted_table().drop("ask_sz_1"),
        planted_table().drop("ts"),
        planted_table(rows=1),
        planted_table(depth=0),
        planted_table()[[0, 1, 3]],
        planted_table()[[1, 0]],
        broken(bid_px_0=101.0),
        broken(ask_px_1=100.5),
        broken(bid_sz_0=0.0),
        broken(bid_sz_0=-1.0),
        broken(ask_px_2=np.nan),
        broken(ask_px_2=None),
    ],
)
def test_an_impossible_table_is_a_typed_error(table):
    with pytest.raises(DataQualityError):
        read_order_books(table)
