"""Exchanges through ccxt against servers that speak their documented wires."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from adapters.brokers.exchange_answers import own_id, reports, wire_id
from adapters.brokers.wire import VenueAnswerUnusable, VenueKeysRefused
from domain.errors import InvalidValue, VenueUnavailable
from domain.identity import client_order_id
from domain.orders import OrderStatus, OrderType, Side, TimeInForce
from tests.adapters.brokers.exchange_server import BEGAN
from tests.adapters.brokers.venues import SERVERS, exchange, order
from trading.portfolio import PortfolioLedger

BOTH = pytest.mark.parametrize("name", SERVERS)
BTC = "BTC/USDT"


def pair_order(number=1, **changes):
    return order(BTC, number, **changes)


def posts(server):
    return [path for method, path in server.asked if method == "POST"]


@BOTH
async def test_an_order_is_sent_exactly_as_it_was_written(name):
    async with exchange(name) as (server, broker):
        await broker.submit(
            pair_order(quantity=Decimal("0.12345"), limit_price=Decimal("10000000.07"))
        )
        [sent] = server.sent
        if name == "binance":
            assert (sent["quantity"], sent["price"]) == ("0.12345", "10000000.07")
            assert (sent["type"], sent["timeInForce"]) == ("LIMIT", "GTC")
        else:
            assert (sent["sz"], sent["px"]) == ("0.12345", "10000000.07")
            assert (sent["ordType"], sent["tdMode"]) == ("limit", "cash")
        assert (sent.get("clOrdId") or sent["newClientOrderId"]) == wire_id(
            pair_order().client_order_id
        )


@BOTH
@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal("0.123456")},
        {"quantity": Decimal("0.000001")},
        {"limit_price": Decimal("100.001")},
        {"time_in_force": TimeInForce.DAY},
        {"symbol": "SOL/USDT"},
        {"quantity": Decimal(101)},
        {
            "order_type": OrderType.TRAILING_STOP,
            "limit_price": None,
            "stop_price": Decimal(90),
            "trail": Decimal(1),
        },
    ],
    ids=["lots", "below a lot", "ticks", "day", "pair", "money", "trailing"],
)
async def test_what_the_exchange_would_change_or_refuse_is_rejected(name, changes):
    async with exchange(name) as (server, broker):
        assert await broker.submit(pair_order(**changes)) is OrderStatus.REJECTED
        assert not server.orders


async def test_a_stop_is_one_order_at_binance_alone():
    stop = {"order_type": OrderType.STOP, "limit_price": None, "stop_price": Decimal(90)}
    async with exchange("binance") as (server, broker):
        assert await broker.submit(pair_order(**stop)) is OrderStatus.ACCEPTED
        assert server.sent[0]["type"] == "STOP_LOSS"
        [resting] = await broker.open_orders()
        assert (resting.order_type, resting.stop_price) == (OrderType.STOP, Decimal(90))
    async with exchange("okx") as (_, broker):
        assert await broker.submit(pair_order(**stop)) is OrderStatus.REJECTED


@BOTH
async def test_a_lost_answer_is_asked_about_and_the_order_is_there_once(name):
    async with exchange(name, seconds=1.0) as (server, broker):
        await broker.open_orders()  # the pairs are known by now
        server.answers = [server.error(*MISSING[name]), None]
        with pytest.raises(VenueUnavailable, match="did not answer createOrder"):
            await broker.submit(pair_order())
        assert await broker.status(pair_order().client_order_id) is OrderStatus.ACCEPTED
        assert len(posts(server)) == len(server.orders) == 1


MISSING = {"binance": (-2013, "Order does not exist."), "okx": ("51603", "Order does not exist")}


@BOTH
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_gateway_that_gives_up_leaves_the_order_in_doubt_and_unsent_again(name, status):
    async with exchange(name) as (server, broker):
        await broker.open_orders()
        server.answers = [server.error(*MISSING[name]), Response("gone", status)]
        with pytest.raises(VenueUnavailable):
            await broker.submit(pair_order())
        assert len(posts(server)) == 1


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007])
async def test_binance_s_words_for_an_unknown_execution_leave_the_order_in_doubt(code):
    async with exchange("binance") as (server, broker):
        await broker.open_orders()
        unknown = server.error(code, "An unknown error occurred.")
        server.answers = [server.error(*MISSING["binance"]), unknown]
        with pytest.raises(VenueUnavailable):
            await broker.submit(pair_order())
        assert len(posts(server)) == 1


@BOTH
async def test_the_same_id_is_not_sent_again_after_the_order_is_over(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        server.fill(wire_id(pair_order().client_order_id), "10", "100")
    async with exchange(name, server) as (_, again):  # another process; the id is free there
        assert await again.submit(pair_order()) is OrderStatus.FILLED
        assert len(server.orders) == 1


@BOTH
async def test_an_id_that_is_taken_in_between_is_the_same_order(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        server.answers = [server.error(*MISSING[name])]  # asked too early
        assert await broker.submit(pair_order()) is OrderStatus.ACCEPTED
        assert len(posts(server)) == 2
        assert len(server.orders) == 1


@BOTH
async def test_the_rate_limit_is_waited_for_and_then_the_order_goes(name):
    async with exchange(name) as (server, broker):
        await broker.open_orders()
        server.answers = [server.error(*MISSING[name]), server.late()]
        assert await broker.submit(pair_order()) is OrderStatus.ACCEPTED
        assert len(posts(server)) == 2
        assert len(server.orders) == 1


@BOTH
async def test_a_rate_limit_without_end_is_no_answer(name):
    async with exchange(name, seconds=1.2) as (server, broker):
        await broker.open_orders()
        server.answers = [server.late() for _ in range(30)]
        with pytest.raises(VenueUnavailable, match=r"1\.2 s passed"):
            await broker.positions()


async def test_a_ban_longer_than_a_question_may_take_is_no_answer():
    async with exchange("binance", seconds=1.0) as (server, broker):
        await broker.open_orders()
        server.answers = [JSONResponse({"code": -1003}, 418, {"Retry-After": "120"})]
        with pytest.raises(VenueUnavailable, match="passed"):
            await broker.positions()


@BOTH
async def test_wrong_keys_are_named_and_never_taken_for_a_rejection(name):
    async with exchange(name, key="other") as (_, broker):
        with pytest.raises(VenueKeysRefused, match="QUORUM_VENUE__KEY"):
            await broker.submit(pair_order())


@BOTH
async def test_questions_bear_the_exchange_s_time_and_the_offset_is_told(name):
    async with exchange(name) as (server, broker):
        server.clock = 60.0
        assert await broker.clock_offset() == pytest.approx(-60, abs=0.5)
        assert await broker.submit(pair_order()) is OrderStatus.ACCEPTED
        server.clock = -60.0  # it jumps: the refusal is answered by measuring again
        assert await broker.submit(pair_order(2)) is OrderStatus.ACCEPTED
        assert len(server.orders) == 2


@BOTH
async def test_fills_are_told_once_in_order_whatever_page_they_stand_on(name):
    many = {"binance": 1001, "okx": 130}[name]
    async with exchange(name) as (server, broker):
        mine, other = pair_order(1, quantity=Decimal(90)), pair_order(2)
        await broker.submit(mine)
        await broker.submit(other)
        for i in range(many):
            server.fill(wire_id(mine.client_order_id), "0.01", f"100.{i:04}")
        server.fill(wire_id(other.client_order_id), "1", "7")
        server.fills.insert(5, server.fills[2])  # told twice, and out of order
        server.fills[3:5] = reversed(server.fills[3:5])
        fills = await broker.executions(mine.client_order_id)
        assert [fill.price for fill in fills] == [Decimal(f"100.{i:04}") for i in range(many)]
        assert fills[0].executed_at.timestamp() * 1000 == BEGAN
        assert fills[-1].leaves_quantity == 90 - many * Decimal("0.01")


@BOTH
async def test_a_fill_is_told_to_the_digit_that_a_binary_float_would_lose(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        server.fill(wire_id(pair_order().client_order_id), "10", "98765432109.123456789")
        [fill] = await broker.executions(pair_order().client_order_id)
        assert fill.price == Decimal("98765432109.123456789")


@BOTH
async def test_the_end_of_an_order_is_not_told_before_the_last_of_its_fills(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        sent = wire_id(pair_order().client_order_id)
        server.fill(sent, "4", "100")
        server.fill(sent, "6", "100")
        server.hidden_fills = 1
        assert await broker.status(pair_order().client_order_id) is OrderStatus.PARTIALLY_FILLED
        server.hidden_fills = 0
        assert await broker.status(pair_order().client_order_id) is OrderStatus.FILLED


@BOTH
async def test_what_was_kept_as_a_fee_is_neither_held_nor_waited_for(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        sent = wire_id(pair_order().client_order_id)
        server.fill(sent, "4", "100", "0.004", "BTC")
        server.fill(sent, "6", "101.5", "0.006", "BTC")
        fills = await broker.executions(pair_order().client_order_id)
        ledger = PortfolioLedger(Decimal(10_000))
        for fill in fills:
            ledger.apply(fill)
        assert ledger.cash == 10_000 - 4 * 100 - 6 * Decimal("101.5")  # what left the account
        assert ledger.quantities() == await broker.positions() == {BTC: Decimal("9.99")}
        assert ledger.fees == Decimal("0.004") * 100 + Decimal("0.006") * Decimal("101.5")
        assert await broker.status(pair_order().client_order_id) is OrderStatus.CANCELLED


@BOTH
async def test_a_fee_in_the_second_currency_is_a_fee(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order(side=Side.SELL))
        server.fill(wire_id(pair_order().client_order_id), "10", "100", "0.75", "USDT")
        [fill] = await broker.executions(pair_order().client_order_id)
        assert (fill.quantity, fill.fee) == (Decimal(10), Decimal("0.75"))


@BOTH
async def test_a_fee_in_a_third_currency_is_not_guessed_at(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        server.fill(wire_id(pair_order().client_order_id), "10", "100", "0.01", "BNB")
        with pytest.raises(VenueAnswerUnusable, match=r"0\.01 BNB"):
            await broker.executions(pair_order().client_order_id)


@BOTH
async def test_an_order_of_another_hand_keeps_its_name(name):
    async with exchange(name) as (server, broker):
        terms = {"side": "buy", "kind": "LIMIT", "price": "9", "stop": "0", "time_in_force": "GTC"}
        terms["kind"] = {"binance": "LIMIT", "okx": "limit"}[name]
        server.take(name="web_1", base="ETH", quantity="1", **terms)
        [resting] = await broker.open_orders()
        assert (resting.client_order_id, resting.symbol) == ("web_1", "ETH/USDT")


@BOTH
async def test_amending_is_not_offered_and_leaves_the_order_as_it_is(name):
    async with exchange(name) as (_, broker):
        await broker.submit(pair_order())
        changed = pair_order(limit_price=Decimal(101))
        assert await broker.replace(changed) is OrderStatus.ACCEPTED
        [resting] = await broker.open_orders()
        assert resting.limit_price == 100


@given(st.text(max_size=12), st.integers(0, 99))
def test_ids_go_to_the_wire_and_come_back(decision, child):
    name = client_order_id(decision, child)
    assert wire_id(name).isalnum()
    assert len(wire_id(name)) == 32
    assert own_id(wire_id(name)) == name


def test_an_id_of_other_make_is_never_sent():
    with pytest.raises(InvalidValue, match="no client order id"):
        wire_id("q-1")


@given(
    st.lists(
        st.tuples(
            st.decimals("0.00001", 50, places=5),
            st.decimals("0.01", 100_000, places=2),
            st.decimals(0, "0.01", places=4),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_cash_and_position_are_the_account_s_whatever_was_kept_as_fees(trades):
    fills = [
        {
            "symbol": BTC,
            "order": "1",
            "id": str(i),
            "timestamp": BEGAN,
            "side": "buy",
            "price": str(price),
            "amount": str(quantity),
            "fee": {"cost": str(quantity * rate), "currency": "BTC"},
        }
        for i, (quantity, price, rate) in enumerate(trades)
    ]
    order = {"amount": str(sum(quantity for quantity, _, _ in trades))}
    ledger = PortfolioLedger(Decimal(10**9))
    for report in reports("binance", fills, order, "q"):
        ledger.apply(report)
    received = sum(quantity - quantity * rate for quantity, _, rate in trades)
    paid = sum(quantity * price for quantity, price, _ in trades)
    assert ledger.quantity(BTC) == received
    # Quantity and fee are each rounded to a billionth once.
    assert abs(ledger.cash - (10**9 - paid)) <= len(trades) * Decimal("1e-9")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["code", "data", "orderId", "ordId", "status", "state", "sz", "origQty", "balances"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@BOTH
async def test_whatever_it_answers_is_a_typed_error_or_a_value(name):
    async with exchange(name) as (server, broker):
        await broker.submit(pair_order())
        known = pair_order().client_order_id
        questions = {
            "submit": lambda: broker.submit(pair_order(2)),
            "status": lambda: broker.status(known),
            "cancel": lambda: broker.cancel(known),
            "executions": lambda: broker.executions(known),
            "open_orders": broker.open_orders,
            "positions": broker.positions,
            "account": broker.account,
        }
        drawn = []

        @settings(max_examples=40, database=None, derandomize=True)
        @given(_JSON, st.sampled_from([200, 400, 404, 500]))
        def collect(value, status):
            drawn.append((json.dumps(value), status))

        collect()
        kinds = {question: set() for question in questions}
        for body, status in [*drawn, ("{", 200), ("[[]]", 200), ("", 200), ('{"code":"0"}', 200)]:
            for question, ask in questions.items():
                server.answers = [Response(body, status)] * 3
                try:
                    kinds[question].add(type(await ask()))
                except (VenueUnavailable, VenueKeysRefused) as problem:
                    kinds[question].add(type(problem))
        assert [q for q, found in kinds.items() if VenueAnswerUnusable not in found] == []
