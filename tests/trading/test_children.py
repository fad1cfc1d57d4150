"""An order that is worked: its children leave in their time, and are never more than it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from domain.errors import InvalidValue
from domain.execution_plan import Algorithm, ChildOrder, ExecutionPlan
from domain.orders import (
    ExecutionReport,
    OrderRole,
    OrderStatus,
    OrderUpdated,
    Side,
    TradingState,
    TradingStateRequested,
)
from domain.sessions import Sessions
from trading.children import children
from trading.gateway import Gateway
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue

D = Decimal
S = OrderStatus


def a_plan(*slices, symbol="IBM", side=Side.BUY):
    """A plan of (session, seconds, quantity)."""
    return ExecutionPlan(
        proposal_id="p",
        symbol=symbol,
        side=side,
        quantity=D(sum(quantity for *_, quantity in slices)),
        algorithm=Algorithm.TWAP,
        children=tuple(
            ChildOrder(session=session, seconds=seconds, quantity=D(quantity))
            for session, seconds, quantity in slices
        ),
        arrival_price=D(100),
        expected_cost_bps=D(1),
        cost_deviation_bps=D(1),
    )


def sessions(make, days=5):
    opens = tuple(make.at(day).replace(hour=14) for day in range(days))
    return Sessions(opens, tuple(moment + timedelta(hours=6) for moment in opens))


def test_each_child_is_due_in_its_session(make):
    parent = make.order("100", role=OrderRole.PARENT)
    found = children(parent, a_plan((0, 0, 40), (1, 1800, 60)), make.at(0), sessions(make))
    day = make.at(0).replace(hour=14)
    assert [(c.quantity, c.created_at) for c in found] == [
        (40, day + timedelta(days=1)),
        (60, day + timedelta(days=2, minutes=30)),
    ]
    assert {c.parent_order_id for c in found} == {parent.client_order_id}
    assert len({c.client_order_id for c in found} | {parent.client_order_id}) == 3


def test_what_is_past_in_this_session_is_due_now(make):
    now = make.at(0).replace(hour=16)
    parent = make.order("10", role=OrderRole.PARENT)
    (child,) = children(parent, a_plan((0, 0, 10)), now, sessions(make))
    assert child.created_at == now


@pytest.mark.parametrize(
    ("plan", "match"),
    [
        (a_plan((0, 0, 99)), "The plan is to"),
        (a_plan((0, 0, 100), side=Side.SELL), "The plan is to"),
        (a_plan((9, 0, 100)), "calendar ends before"),
    ],
)
def test_a_plan_of_something_else_is_refused(make, plan, match):
    parent = make.order("100", role=OrderRole.PARENT)
    with pytest.raises(InvalidValue, match=match):
        children(parent, plan, make.at(0), sessions(make))


class Worked:
    """A gateway that works its orders in three slices, an hour apart."""

    def __init__(self, make):
        self.make, self.settings = make, make.settings()
        self.venue, self.log = PaperVenue(self.settings), []
        self.gateway = Gateway(
            self.venue,
            make.clock(),
            make.metrics(),
            self.settings,
            Surroundings(),
            plan=lambda _order, _decision: a_plan((0, 0, 30), (1, 0, 30), (2, 0, 40)),
        )

    async def bar(self, day):
        self.log += await self.gateway.on_market_data(self.make.bar(day))
        self.log += await self.gateway.dispatch()

    async def start(self):
        await self.bar(0)
        self.log += await self.gateway.on_decision(self.make.decision(self.make.bar(0)))
        self.log += await self.gateway.dispatch()
        (self.parent,) = [
            s for s in self.gateway.book.orders.values() if s.order.role is OrderRole.PARENT
        ]

    def statuses(self, role):
        return [e.status for e in self.log if isinstance(e, OrderUpdated) and e.order.role is role]


async def test_children_leave_one_after_the_other_and_fill_their_parent(make):
    worked = Worked(make)
    await worked.start()
    reserved = worked.gateway.portfolio.reserved
    assert reserved == D("10100.35")  # once, not once for the parent and once for its children
    for day in range(1, 4):
        await worked.bar(day)
    assert await worked.venue.open_orders() == []
    fills = [e.quantity for e in worked.log if isinstance(e, ExecutionReport)]
    assert fills == [30, 30, 40]
    assert (worked.parent.status, worked.parent.filled) == (S.FILLED, 100)
    assert worked.gateway.portfolio.reserved == 0
    assert worked.statuses(OrderRole.CHILD).count(S.SUBMITTED) == 3


async def test_a_halt_ends_children_that_wait_too(make):
    worked = Worked(make)
    await worked.start()
    request = TradingStateRequested(
        message_id="halt",
        correlation_id="halt",
        occurred_at=make.at(0),
        state=TradingState.HALTED,
        actor="ada",
        reason="looks wrong",
    )
    worked.log += await worked.gateway.on_request(request)
    await worked.bar(1)
    assert worked.statuses(OrderRole.CHILD)[-4:] == [
        S.PENDING_CANCEL,
        S.CANCELLED,
        S.DENIED,
        S.DENIED,
    ]
    assert worked.statuses(OrderRole.PARENT)[-1] is S.CANCELLED
    assert worked.gateway.portfolio.reserved == 0
    assert await worked.venue.open_orders() == []
    assert worked.gateway.portfolio.positions == ()


async def test_a_restart_forgets_neither_the_plan_nor_what_was_sent(make):
    unbroken, broken = Worked(make), Worked(make)
    for worked in (unbroken, broken):
        await worked.start()
        await worked.bar(1)
    again = Worked(make)
    again.gateway.recover(broken.log)
    book = again.gateway.book
    again.venue.restore(book.orders.values(), book.ledger.quantities(), book.market)
    again.log = list(broken.log)
    for worked in (unbroken, again):
        await worked.bar(2)
        await worked.bar(3)
    assert again.log == unbroken.log
