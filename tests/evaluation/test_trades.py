"""A trade hash tells whether two runs traded the same, whoever ran them."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evaluation.trades import trade_hash, trades_of
from tests.evaluation.test_backtest import run, waves

RESULT = run(waves(40))


def test_fills_of_one_instant_hash_alike_in_any_order_of_symbols():
    backwards = sorted(RESULT.fills, key=lambda fill: (fill.executed_at, fill.symbol), reverse=True)
    by_symbol = sorted(backwards, key=lambda fill: fill.symbol)
    assert trade_hash(by_symbol) == trade_hash(RESULT.fills)


def test_ids_leave_no_trace_in_the_hash():
    named = [replace(fill, message_id="another", execution_id="another") for fill in RESULT.fills]
    assert trade_hash(named) == trade_hash(RESULT.fills)


@given(st.integers(0, len(RESULT.fills) - 1), st.sampled_from(["price", "quantity", "fee"]))
def test_any_number_that_differs_shows(place, name):
    fill = RESULT.fills[place]
    other = [*RESULT.fills]
    other[place] = replace(fill, **{name: getattr(fill, name) + Decimal("0.000001")})
    assert trade_hash(other) != trade_hash(RESULT.fills)


def test_trades_account_for_every_fill():
    trades = trades_of(RESULT.decisions, RESULT.orders, RESULT.fills).values()
    assert sum(len(trade.fills) for trade in trades) == len(RESULT.fills)
    assert sum(trade.fee for trade in trades) == sum(fill.fee for fill in RESULT.fills)
    assert 1_000_000 + sum(trade.cash for trade in trades) == RESULT.portfolio.cash
    assert len({d.proposal.proposal_id for d in RESULT.decisions}) == len(trades)
