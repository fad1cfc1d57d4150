import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidValue
from evaluation.online_portfolios import passive_aggressive_mean_reversion
from evaluation.price_relatives import (
    WAYS,
    RelativesAccount,
    final_wealth,
    load_relatives,
    read_relatives,
)

TABLE = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / "bench_olps_nyse_o.parquet"


def relatives_of(seed, days=40, assets=5):
    return np.exp(np.random.default_rng(seed).normal(0.0, 0.03, (days, assets)))


@pytest.mark.parametrize("seed", range(3))
def test_without_costs_wealth_is_the_product_of_what_the_weights_earned(seed):
    relatives = relatives_of(seed)
    weights = passive_aggressive_mean_reversion(relatives)
    wealth = RelativesAccount(relatives).rebalance(weights)
    assert wealth == pytest.approx(np.cumprod((relatives * weights).sum(axis=1)), rel=1e-6)


@given(seed=st.integers(0, 1000), cost=st.sampled_from(["0", "3.5", "50"]))
@settings(max_examples=10)
def test_the_books_balance_and_costs_are_what_was_paid(seed, cost):
    relatives = relatives_of(seed, days=10)
    account = RelativesAccount(relatives, cost_bps=Decimal(cost))
    account.rebalance(passive_aggressive_mean_reversion(relatives))
    ledger = account.ledger
    assert ledger.equity == ledger.starting_cash + ledger.realized_pnl + ledger.unrealized_pnl


def test_a_purchase_costs_what_was_said():
    relatives = np.ones((1, 2))
    (after,) = RelativesAccount(relatives, cost_bps=Decimal(50)).hold(np.array([0.5, 0.0]))
    assert after == pytest.approx(1.0 - 0.5 * 0.0050, abs=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_costs_never_help(way):
    relatives = relatives_of(7)
    assert final_wealth(relatives, way, cost_bps=Decimal(20)) < final_wealth(relatives, way)


@pytest.mark.skipif(not TABLE.exists(), reason="the table NYSE(O) is not on this machine")
@pytest.mark.parametrize(
    ("way", "printed"),
    [
        ("uniform buy and hold", "14.50"),
        ("best asset", "54.14"),
        ("best constant rebalanced", "250.60"),
        ("exponentiated gradient", "27.09"),
        ("passive aggressive mean reversion", "5.14e+15"),
    ],
)
def test_public_figures_come_out_to_their_last_printed_digit(way, printed):
    wealth = final_wealth(load_relatives(TABLE), way)
    assert (f"{wealth:.2e}" if "e" in printed else f"{wealth:.2f}") == printed


@pytest.mark.skipif(not TABLE.exists(), reason="the table NYSE(O) is not on this machine")
def test_the_fortune_of_mean_reversion_does_not_survive_costs():
    # 10 bps of commission and 5 of half spread leave less than a millionth of 5.14e15.
    found = final_wealth(
        load_relatives(TABLE), "passive aggressive mean reversion", cost_bps=Decimal(15)
    )
    assert found < 5.14e9


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pl.DataFrame({"day": [1, 2]}), "no price relatives"),
        (pl.DataFrame({"a": [1.0, 0.0]}), "Row 2, column a"),
        (pl.DataFrame({"a": [1.0], "b": [float("nan")]}), "Row 1, column b"),
        (pl.DataFrame({"a": [1.0, None]}), "Row 2, column a"),
        (pl.DataFrame({"a": [float("inf")]}), "Row 1, column a"),
        (pl.DataFrame({"a": ["x"]}), "Column a holds no numbers"),
    ],
)
def test_what_is_no_table_of_relatives_is_refused(table, said):
    with pytest.raises(InvalidValue, match=said):
        read_relatives(table)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InvalidValue, match="can't be read"):
        load_relatives(tmp_path / "x.parquet")
    pl.DataFrame({"date": ["2020-01-01"], "a": [1.5]}).write_csv(tmp_path / "x.csv")
    assert load_relatives(tmp_path / "x.csv").tolist() == [[1.5]]
