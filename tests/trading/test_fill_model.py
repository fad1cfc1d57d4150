from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.orders import OrderType, Side, TimeInForce
from trading.fill_model import cost_fraction, fill, fillable, market_price, slippage_bps

D = Decimal
SIGMA = D("0.02")


def filled(order, bar, settings, *, leaves=None, available=None):
    return fill(
        order,
        order.quantity if leaves is None else D(leaves),
        bar,
        available=fillable(bar, settings) if available is None else D(available),
        volatility=SIGMA,
        settings=settings,
    )


def test_a_buy_pays_half_spread_and_impact(make):
    # 100 + 2 bps of 100 + 100 · 0.1 · 0.02 · √(100 / 1,000,000) = 100 + 0.02 + 0.002
    got = filled(make.order("100"), make.bar(1, open="100", high="103", low="99"), make.settings())
    assert (got.quantity, got.price, got.fee) == (D(100), D("100.022"), D("0.35"))


def test_a_sale_receives_as_much_less(make):
    bar = make.bar(1, open="100", high="103", low="99")
    got = filled(make.order("100", Side.SELL), bar, make.settings())
    assert got.price == D("99.978")


def test_impact_grows_with_the_root_of_participation(make):
    bar = make.bar(1, open="100", high="150", low="50")
    settings = make.settings(half_spread_bps=0)
    prices = [market_price(Side.BUY, D(q), bar, SIGMA, settings) for q in (100, 400, 40_000)]
    assert prices == [D("100.002"), D("100.004"), D("100.04")]


def test_quotes_replace_the_assumed_spread(make):
    bar = replace(make.bar(1, high="110", low="90"), bid=D("99.95"), ask=D("100.05"))
    assert filled(make.order("100"), bar, make.settings()).price == D("100.052")


def test_a_fill_is_clipped_to_what_the_bar_traded(make):
    bar = make.bar(1, open="100", high="100.01", low="99.99")
    settings = make.settings()
    assert filled(make.order("100"), bar, settings).price == D("100.01")
    assert filled(make.order("100", Side.SELL), bar, settings).price == D("99.99")


def test_volume_caps_the_quantity_in_whole_shares(make):
    assert filled(make.order("100"), make.bar(1, volume="1019"), make.settings()).quantity == 50
    assert filled(make.order("100"), make.bar(1, volume="19"), make.settings()) is None
    assert filled(make.order("100"), make.bar(1, volume="0"), make.settings()) is None


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (Side.BUY, "101", "100.022"),  # marketable: the market's price, not the limit
        (Side.BUY, "99", "99"),  # traded through later
        (Side.BUY, "98", None),  # touched only
        (Side.BUY, "97", None),
        (Side.SELL, "99", "99.978"),
        (Side.SELL, "102", "102"),
        (Side.SELL, "103", None),
        (Side.SELL, "104", None),
    ],
)
def test_limit_orders(make, side, limit, expected):
    bar = make.bar(1, open="100", high="103", low="98")
    order = make.order("100", side, order_type=OrderType.LIMIT, limit_price=D(limit))
    got = filled(order, bar, make.settings())
    assert (got and got.price) == (D(expected) if expected else None)


@pytest.mark.parametrize("force", [TimeInForce.IOC, TimeInForce.FOK])
def test_immediate_orders_look_at_the_open_alone(make, force):
    bar = make.bar(1, open="100", high="103", low="98")
    terms = {"order_type": OrderType.LIMIT, "limit_price": D(99), "time_in_force": force}
    assert filled(make.order("100", **terms), bar, make.settings()) is None


def test_fill_or_kill_takes_all_or_nothing(make):
    order = make.order("100", time_in_force=TimeInForce.FOK)
    assert filled(order, make.bar(1, volume="1980"), make.settings()) is None
    assert filled(order, make.bar(1, volume="2000"), make.settings()).quantity == 100


def test_slippage_is_positive_when_worse():
    assert slippage_bps(Side.BUY, D("100.5"), D(100)) == 50
    assert slippage_bps(Side.SELL, D("100.5"), D(100)) == -50


def test_expected_cost_is_what_the_fill_would_cost(make):
    bar = make.bar(1, open="100", high="103", low="99")
    settings = make.settings()
    cost = cost_fraction(Side.BUY, D(100), D(100), bar=bar, volatility=SIGMA, settings=settings)
    assert cost == D("0.000255")  # (0.022 + 0.0035) / 100


prices = st.integers(1, 10**7).map(lambda n: D(n) / 1000)


@st.composite
def bars(draw, make):
    low, opening, close, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    if draw(st.booleans()):
        opening, close = close, opening
    volume = draw(st.integers(0, 10**7))
    return make.bar(1, str(close), open=opening, high=high, low=low, volume=str(volume))


@given(data=st.data())
def test_a_bar_only_fill_never_claims_more_than_the_bar_shows(make, data):
    bar = data.draw(bars(make))
    limit = data.draw(st.none() | prices)
    side = data.draw(st.sampled_from(Side))
    settings = make.settings(
        half_spread_bps=D(data.draw(st.integers(0, 500))),
        impact_coefficient=D(data.draw(st.integers(0, 30))) / 10,
    )
    order = make.order(
        str(data.draw(st.integers(1, 10**6))),
        side,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=limit,
        time_in_force=data.draw(st.sampled_from(TimeInForce)),
    )
    volatility = D(data.draw(st.integers(0, 10**6))) / 10**6
    got = fill(
        order,
        order.quantity,
        bar,
        available=fillable(bar, settings),
        volatility=volatility,
        settings=settings,
    )
    if got is None:
        return
    assert bar.low <= got.price <= bar.high
    assert 0 < got.quantity <= bar.volume * settings.maximum_participation_rate
    assert got.quantity <= order.quantity
    assert got.fee >= 0
    if limit is None:
        # Never better than the open (the close), but for the clip to what traded at all.
        start = bar.price if order.time_in_force is TimeInForce.AT_CLOSE else bar.open
        worse = got.price - start if side is Side.BUY else start - got.price
        assert worse >= 0
    else:
        assert got.price <= limit if side is Side.BUY else got.price >= limit
