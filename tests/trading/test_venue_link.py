"""The gateway on a venue whose answers get lost: no order is lost, doubled or orphaned."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.errors import VenueUnavailable
from domain.messages import decode, encode
from domain.metrics import Metric
from domain.orders import (
    ExecutionReport,
    OrderStatus,
    OrderUpdated,
    TradingState,
    TradingStateChanged,
    TradingStateRequested,
)
from domain.reconciliation import DiscrepancyKind, Reconciled
from domain.voting import Action
from tests.trading.remote_venue import RemoteVenue
from trading.gateway import Gateway

D = Decimal
S = OrderStatus


class Line:
    """A gateway at one end, a venue at the other, and everything that was recorded."""

    def __init__(self, make, lose=lambda _operation, _done: False, **limits):
        self.make = make
        self.settings = make.settings(**limits)
        self.venue = RemoteVenue(self.settings, lose)
        self.clock, self.metrics = make.clock(), make.metrics()
        self.log = []
        self.gateway = self._started()

    def _started(self):
        return Gateway(self.venue, self.clock, self.metrics, self.settings)

    def restart(self):
        self.gateway = self._started()
        self.gateway.recover(decode(encode(event)) for event in self.log)

    async def bar(self, bar):
        self.log += await self.gateway.on_market_data(bar)
        self.log += await self.gateway.dispatch()

    async def decide(self, decision):
        self.log += await self.gateway.on_decision(decision)

    async def dispatch(self):
        self.log += await self.gateway.dispatch()

    async def reconcile(self):
        self.log += await self.gateway.reconcile()

    def of(self, kind):
        return [event for event in self.log if isinstance(event, kind)]

    @property
    def statuses(self):
        return [event.status for event in self.of(OrderUpdated)]


def lost(operation, done):
    return lambda asked, is_done: (asked, is_done) == (operation, done)


@pytest.mark.parametrize(("done", "answer"), [(True, S.ACCEPTED), (False, S.REJECTED)])
async def test_a_time_out_is_resolved_by_asking_and_never_by_sending_again(make, done, answer):
    line = Line(make, lost("submit", done), cancel_on_disconnect=False)
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    assert line.statuses == [S.SUBMITTED, S.UNKNOWN]
    assert line.metrics.counts[Metric.VENUE_TIMEOUTS, "submit"] == 1
    assert line.gateway.portfolio.reserved > 0
    await line.dispatch()
    if not done:
        assert line.statuses[-1] is S.UNKNOWN  # it may still be under way
        line.clock.observe(make.at(0) + timedelta(seconds=60))
        await line.dispatch()
    assert line.statuses == [S.SUBMITTED, S.UNKNOWN, answer]
    assert len(line.venue.sent()) == 1
    assert (line.gateway.portfolio.reserved > 0) is done


async def test_while_the_venue_is_silent_nothing_leaves(make):
    line = Line(make, lost("submit", done=True), cancel_on_disconnect=False)
    await line.bar(make.bar(0))
    await line.bar(make.bar(0, symbol="AAPL"))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    await line.decide(make.decision(make.bar(0, symbol="AAPL")))
    assert line.of(OrderUpdated)[-1].denial.control == "venue_connection"
    await line.dispatch()
    later = replace(make.decision(make.bar(0, symbol="AAPL")), message_id="later")
    await line.decide(later)
    assert line.statuses[-1] is S.SUBMITTED


async def test_once_a_silent_venue_answers_what_is_open_is_cancelled(make):
    line = Line(make)
    for symbol in ("IBM", "AAPL"):
        await line.bar(make.bar(0, symbol=symbol))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    line.venue.lose = lost("submit", done=True)
    await line.decide(make.decision(make.bar(0, symbol="AAPL")))
    await line.dispatch()
    assert len(await line.venue.open_orders()) == 2
    await line.dispatch()
    assert await line.venue.open_orders() == []
    assert line.statuses[-2:] == [S.PENDING_CANCEL, S.CANCELLED]
    assert line.gateway.portfolio.reserved == 0


async def test_an_order_in_doubt_when_trading_halts_is_cancelled_once_it_is_known(make):
    line = Line(make, lost("submit", done=True), cancel_on_disconnect=False)
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    line.venue.lose = lost("status", done=False)
    line.log += await line.gateway.on_request(pressed(make, TradingState.HALTED))
    assert line.statuses[-1] is S.UNKNOWN
    line.venue.lose = lost("", done=False)
    await line.dispatch()
    assert line.statuses[-3:] == [S.ACCEPTED, S.PENDING_CANCEL, S.CANCELLED]


async def test_what_was_sent_before_a_crash_is_asked_about_first(make):
    line = Line(make)
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.gateway.dispatch()  # and the process dies before it can record the answer
    line.restart()
    await line.dispatch()
    assert line.statuses == [S.SUBMITTED, S.ACCEPTED]
    assert len(line.venue.sent()) == 1


async def test_fills_while_we_were_away_are_booked_at_the_start(make):
    line = Line(make)
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    await line.venue.on_market_data(make.bar(1))
    line.restart()
    await line.reconcile()
    assert line.statuses == [S.SUBMITTED, S.ACCEPTED, S.FILLED]
    assert line.of(Reconciled) == []
    assert line.gateway.portfolio.quantity("IBM") == 100


async def test_what_nothing_explains_stops_trading_with_a_report(make):
    line = Line(make)
    stranger = make.order("7", number=9)
    await line.venue.venue.submit(stranger)
    line.venue.venue._positions["XOM"] = D(5)
    await line.reconcile()
    (report,) = line.of(Reconciled)
    assert [(d.kind, d.subject) for d in report.discrepancies] == [
        (DiscrepancyKind.UNKNOWN_ORDER, stranger.client_order_id),
        (DiscrepancyKind.POSITION, "XOM"),
    ]
    (halted,) = line.of(TradingStateChanged)
    assert (halted.state, halted.actor) == (TradingState.HALTED, "reconciliation")
    assert line.metrics.counts[Metric.DISCREPANCIES, "POSITION"] == 1
    line.restart()
    assert line.gateway.book.trading_state is TradingState.HALTED
    await line.reconcile()
    assert len(line.of(Reconciled)) == 1  # the same finding is told once


async def test_an_open_order_that_the_venue_never_saw_is_told(make):
    line = Line(make)
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    line.venue = RemoteVenue(line.settings)
    line.restart()
    await line.reconcile()
    (report,) = line.of(Reconciled)
    assert [d.kind for d in report.discrepancies] == [DiscrepancyKind.MISSING_ORDER]


async def test_more_filled_than_ordered_is_told_and_not_booked(make):
    line = Line(make)
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    identity = line.venue.sent()[0]
    report = replace(
        make.report(1, "BUY", "101", "100"), client_order_id=identity, leaves_quantity=D(0)
    )
    line.venue.venue._reports[identity] = [report]
    line.restart()
    await line.reconcile()
    (told,) = line.of(Reconciled)
    assert [d.kind for d in told.discrepancies] == [DiscrepancyKind.FILL]
    assert line.gateway.portfolio.quantity("IBM") == 0


def pressed(make, state, number=0):
    return TradingStateRequested(
        message_id=f"request-{number}",
        correlation_id="request",
        occurred_at=make.at(0),
        state=state,
        actor="ada",
        reason="looks wrong",
    )


async def test_a_halt_cancels_what_is_open_and_sends_nothing_more(make):
    line = Line(make)
    for symbol in ("IBM", "AAPL"):
        await line.bar(make.bar(0, symbol=symbol))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    await line.decide(make.decision(make.bar(0, symbol="AAPL")))
    line.log += await line.gateway.on_request(pressed(make, TradingState.HALTED))
    assert line.statuses[-2:] == [S.PENDING_CANCEL, S.CANCELLED]
    await line.dispatch()
    assert line.statuses[-1] is S.CANCELLED
    assert line.of(OrderUpdated)[-1].reason == "halted before it was sent"
    assert len(line.venue.sent()) == 1
    assert await line.venue.open_orders() == []
    assert line.gateway.portfolio.reserved == 0


async def test_a_cancel_whose_answer_is_lost_stays_pending_and_is_learnt_later(make):
    line = Line(make, lost("cancel", done=True))
    await line.bar(make.bar(0))
    await line.decide(make.decision(make.bar(0)))
    await line.dispatch()
    line.log += await line.gateway.on_request(pressed(make, TradingState.HALTED))
    assert line.statuses[-1] is S.PENDING_CANCEL
    await line.bar(make.bar(1))
    assert line.statuses[-1] is S.CANCELLED


plans = st.lists(
    st.tuples(
        st.sampled_from(["bar", "decide", "dispatch", "crash", "reconcile", "thin bar", "halt"]),
        st.sampled_from([None, ("submit", False), ("submit", True), ("status", False)])
        | st.sampled_from([("executions", True), ("cancel", True)]),
    ),
    min_size=1,
    max_size=25,
)


@given(plan=plans)
@settings(max_examples=120, deadline=None)
def test_no_order_is_lost_doubled_or_orphaned(make, plan):
    """Whatever breaks and whenever we crash, in the end record and venue agree."""

    async def run():
        line, day = Line(make), 0
        await line.bar(make.bar(0))
        for step, broken in [*plan, ("crash", None), ("reconcile", None)]:
            line.venue.lose = lost(*broken) if broken else lost("", done=False)
            try:
                match step:
                    case "bar" | "thin bar":
                        day += 1
                        volume = "600" if step == "thin bar" else "1000000"
                        await line.bar(make.bar(day, volume=volume))
                    case "decide":
                        action = Action.BUY if day % 3 else Action.SELL
                        decided = make.decision(make.bar(day), action, str(40 + day))
                        await line.decide(decided)
                    case "dispatch":
                        await line.dispatch()
                    case "crash":
                        line.restart()
                    case "halt":
                        for state in (TradingState.HALTED, TradingState.ACTIVE):
                            number = len(line.log)
                            request = pressed(make, state, number)
                            line.log += await line.gateway.on_request(request)
                    case _:
                        await line.reconcile()
            except VenueUnavailable:
                line.restart()  # as the processor does: from what is on record
        line.venue.lose = lost("", done=False)
        line.clock.observe(make.at(day) + timedelta(seconds=61))
        await line.dispatch()
        await line.bar(make.bar(day + 1))
        await line.dispatch()
        await line.reconcile()
        assert line.of(Reconciled) == []
        book = line.gateway.book
        assert book.ledger.quantities() == await line.venue.positions()
        assert len(line.venue.sent()) == len(set(line.venue.sent()))
        open_there = {order.client_order_id for order in await line.venue.open_orders()}
        assert open_there <= {state.order.client_order_id for state in book.open_orders()}
        executed = [report.execution_id for report in line.of(ExecutionReport)]
        assert len(executed) == len(set(executed))
        assert len({event.message_id for event in line.log}) == len(line.log)

    asyncio.run(run())
