from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.orders import Side
from trading.exposure import Exposures

D = Decimal
SECTORS = {"IBM": "tech", "AAPL": "tech", "XOM": "energy"}
SYMBOLS = ["AAPL", "IBM", "XOM", "ZZZ"]


def worst(held, buys, sells):
    return max(abs(held + buys), abs(held - sells))


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("open"),
            st.sampled_from(SYMBOLS),
            st.sampled_from(Side),
            st.integers(0, 5),
            st.integers(0, 50),
        ),
        st.tuples(
            st.just("mark"), st.sampled_from(SYMBOLS), st.integers(1, 200), st.integers(-9, 9)
        ),
    ),
    max_size=30,
)


@given(steps=steps, side=st.sampled_from(Side), symbol=st.sampled_from(SYMBOLS))
def test_what_is_kept_up_equals_what_is_summed_afresh(make, steps, side, symbol):
    kept, held, price, sent = Exposures(SECTORS), {}, {}, {}
    for kind, name, *rest in steps:
        if kind == "mark":
            price[name], held[name] = D(rest[0]), D(rest[0] * rest[1])
            kept.mark(name, price[name], held[name])
        else:
            order_side, number, leaves = rest
            order = make.order("50", order_side, number=f"{name}{order_side}{number}", symbol=name)
            sent[order.client_order_id] = order, leaves
            kept.open(order, D(leaves))

    def total(name, order_side):
        return sum(
            max(order.arrival_price, price.get(name, D(0))) * leaves
            for order, leaves in sent.values()
            if order.symbol == name and order.side is order_side
        )

    extra = D(700)
    values = {}
    for name in SYMBOLS:
        buys, sells = total(name, Side.BUY), total(name, Side.SELL)
        if name == symbol:
            buys += extra if side is Side.BUY else 0
            sells += extra if side is Side.SELL else 0
        values[name] = held.get(name, D(0)), buys, sells
    found = kept.after(symbol, side, extra)
    assert found.symbol == worst(*values[symbol])
    assert found.gross == sum(worst(*each) for each in values.values())
    assert found.net == worst(*map(sum, zip(*values.values(), strict=True)))
    sector = SECTORS.get(symbol)
    assert found.sector == (
        None
        if sector is None
        else sum(worst(*each) for name, each in values.items() if SECTORS.get(name) == sector)
    )
    for name in SYMBOLS:
        assert kept.quantity(name, Side.BUY) == sum(
            leaves for o, leaves in sent.values() if o.symbol == name and o.side is Side.BUY
        )
