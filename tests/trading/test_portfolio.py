from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.orders import Side
from trading.portfolio import PortfolioLedger

D = Decimal


def ledger(cash=10_000):
    return PortfolioLedger(D(cash))


def test_a_round_trip_to_the_cent(make):
    book = ledger()
    book.apply(make.report(1, Side.BUY, "30", "100.10", fee="0.11"))
    book.apply(make.report(2, Side.BUY, "10", "104.50", fee="0.04"))
    assert book.cash == D("5951.85")  # 10000 - 3003 - 0.11 - 1045 - 0.04
    assert book.snapshot().position("IBM").average_price == D("101.2")  # 4048 / 40
    book.apply(make.report(3, Side.SELL, "25", "110", fee="0.09"))
    assert book.cash == D("8701.76")
    assert book.realized_pnl == D("220")  # 25 · (110 - 101.2)
    book.mark("IBM", D("99"))
    assert book.unrealized_pnl == D("-33")  # 15 · (99 - 101.2)
    assert book.equity == D("10186.76")
    assert book.fees == D("0.24")


def test_selling_beyond_zero_opens_a_short_at_the_new_price(make):
    book = ledger()
    book.apply(make.report(1, Side.BUY, "10", "100"))
    book.apply(make.report(2, Side.SELL, "15", "120"))
    assert book.realized_pnl == D(200)
    short = book.snapshot().position("IBM")
    assert (short.quantity, short.average_price) == (D(-5), D(120))
    book.apply(make.report(3, Side.BUY, "5", "110"))
    assert book.realized_pnl == D(250)
    assert book.snapshot().positions == ()
    assert book.equity == book.cash == D(10_250)


def test_an_average_that_has_no_end_loses_nothing(make):
    book = ledger()
    book.apply(make.report(1, Side.BUY, "1", "1"))
    book.apply(make.report(2, Side.BUY, "2", "2"))  # average 5/3
    book.apply(make.report(3, Side.SELL, "1", "2"))
    assert book.snapshot().position("IBM").average_price == D("1.666666666")
    assert book.realized_pnl == D("0.333333333")
    book.apply(make.report(4, Side.SELL, "2", "2"))
    assert book.realized_pnl == D(1)  # 6 taken in, 5 paid


def test_a_fill_is_booked_once(make):
    book = ledger()
    assert book.apply(make.report(1, Side.BUY, "10", "100"))
    assert not book.apply(make.report(1, Side.BUY, "10", "100"))
    assert book.has("execution-1")
    assert book.quantity("IBM") == 10


def test_reserved_cash_is_no_buying_power_but_stays_wealth():
    book = ledger()
    book.reserve("a", D(4_000))
    book.reserve("b", D(1_000))
    book.reserve("a", D(2_500))
    assert (book.reserved, book.buying_power, book.equity) == (D(3_500), D(6_500), D(10_000))
    book.reserve("a", D(0))
    assert book.snapshot().buying_power == D(9_000)


def test_a_negative_reservation_is_refused():
    with pytest.raises(InvalidValue, match="negative"):
        ledger().reserve("a", D(-1))


def test_an_unheld_mark_counts_from_the_first_share(make):
    book = ledger()
    book.mark("IBM", D(90))
    book.apply(make.report(1, Side.BUY, "10", "100"))
    assert book.equity == D(9_900)


fills = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "IBM", "MSFT"]),
        st.sampled_from(Side),
        st.integers(1, 10**6).map(lambda n: D(n) / 1000),
        st.integers(1, 10**9).map(lambda n: D(n) / 10**6),
        st.integers(0, 10**4).map(lambda n: D(n) / 10**4),
    ),
    max_size=25,
)
marks = st.dictionaries(
    st.sampled_from(["AAPL", "IBM", "MSFT"]), st.integers(1, 10**9).map(lambda n: D(n) / 10**6)
)


def booked(make, trades, prices, *, by_symbol=False):
    book = ledger(1_000_000)
    numbered = [
        make.report(n, side, quantity, price, symbol=symbol, fee=fee)
        for n, (symbol, side, quantity, price, fee) in enumerate(trades)
    ]
    for each in sorted(numbered, key=lambda r: r.symbol) if by_symbol else numbered:
        book.apply(each)
    for symbol, price in prices.items():
        book.mark(symbol, price)
    return book


@given(trades=fills, prices=marks)
def test_wealth_is_cash_plus_positions_and_start_plus_profit(make, trades, prices):
    book = booked(make, trades, prices)
    positions = book.snapshot().positions
    assert book.equity == book.cash + sum(p.market_value for p in positions)
    assert book.equity == book.snapshot().equity
    assert book.equity == (book.starting_cash + book.realized_pnl + book.unrealized_pnl - book.fees)


@given(trades=fills, prices=marks)
def test_the_order_of_symbols_is_irrelevant(make, trades, prices):
    one, other = (booked(make, trades, prices, by_symbol=flag) for flag in (False, True))
    assert one.snapshot() == other.snapshot()
    assert (one.realized_pnl, one.fees) == (other.realized_pnl, other.fees)


@given(trades=fills, prices=marks)
def test_replaying_every_fill_twice_gives_the_same_ledger(make, trades, prices):
    once = booked(make, trades, prices)
    again = booked(make, trades, prices)
    for n, (symbol, side, quantity, price, fee) in enumerate(trades):
        again.apply(make.report(n, side, quantity, price, symbol=symbol, fee=fee))
    assert once.snapshot() == again.snapshot()


@given(trades=fills, prices=marks)
def test_a_callers_decimal_context_changes_nothing(make, trades, prices):
    expected = booked(make, trades, prices)
    reports = [
        make.report(n, side, quantity, price, symbol=symbol, fee=fee)
        for n, (symbol, side, quantity, price, fee) in enumerate(trades)
    ]
    book = ledger(1_000_000)
    with localcontext() as context:
        context.prec = 5
        for each in reports:
            book.apply(each)
        for symbol, price in prices.items():
            book.mark(symbol, price)
        equity, realized = book.equity, book.realized_pnl
    assert (equity, realized) == (expected.equity, expected.realized_pnl)


@given(trades=fills)
def test_closing_everything_leaves_cash_alone(make, trades):
    book = booked(make, trades, {})
    for n, (symbol, quantity) in enumerate(book.quantities().items(), start=len(trades)):
        side = Side.SELL if quantity > 0 else Side.BUY
        book.apply(make.report(n, side, abs(quantity), "50", symbol=symbol))
    assert book.quantities() == {}
    assert book.unrealized_pnl == 0
    assert book.equity == book.cash == book.starting_cash + book.realized_pnl - book.fees
