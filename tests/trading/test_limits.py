"""Lowering a limit takes one person, raising it two; all of it is on record."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.limits import (
    LimitChangeConfirmed,
    LimitChangeRequested,
    LimitChangeStatus,
    LimitChangeUpdated,
    LimitRefusal,
    LimitsDeclared,
)
from domain.metrics import Metric
from domain.orders import OrderStatus, OrderUpdated
from domain.settings import TradingSettings
from domain.settings.controls import ControlSettings
from tests.trading.conftest import FIRST_CLOSE
from trading.book import OrderBook
from trading.gateway import Gateway
from trading.limits import CEILINGS, FLOORS, LIMITS, Limits, looser, possible, value_of
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue

D = Decimal
VALUE = "maximum_order_value"
EFFECTIVE, PROPOSED, REFUSED = LimitChangeStatus
HOUR = 3600


def request(number, limit, value, actor="ada", at=0):
    return LimitChangeRequested(
        message_id=f"request-{number}",
        correlation_id=f"request-{number}",
        occurred_at=FIRST_CLOSE + timedelta(seconds=at),
        limit=limit,
        value=D(value),
        actor=actor,
        reason="because",
    )


def confirmation(number, of, actor="bob", at=0):
    return LimitChangeConfirmed(
        message_id=f"confirmation-{number}",
        correlation_id=f"request-{of}",
        occurred_at=FIRST_CLOSE + timedelta(seconds=at),
        request_id=f"request-{of}",
        actor=actor,
        reason="so do I",
    )


def answered(limits, wish):
    answer = limits.answer(wish)
    limits.apply(answer)
    return answer.status, answer.refusal


def test_every_limit_is_a_setting_with_one_direction():
    numbers = {n for n, f in ControlSettings.model_fields.items() if f.annotation in (Decimal, int)}
    held = {"tick_size", "lot_size", "slice_seconds", "reservation_buffer", "minimum_profit_trades"}
    assert numbers - held <= set(LIMITS)
    assert not set(CEILINGS) & set(FLOORS)


@pytest.mark.parametrize(
    ("limit", "stricter", "looser_"),
    [(VALUE, 100_000, 300_000), ("initial_margin", 1, "0.4"), ("minimum_profit", 0, "-0.5")],
)
def test_one_person_lowers_and_two_raise(limit, stricter, looser_):
    limits = Limits(TradingSettings(initial_margin=D("0.5")))
    before = limits.value(limit)
    assert answered(limits, request(1, limit, stricter)) == (EFFECTIVE, None)
    assert getattr(limits.in_force, limit) == D(stricter) != before
    assert answered(limits, request(2, limit, looser_)) == (PROPOSED, None)
    assert limits.value(limit) == D(stricter)
    assert answered(limits, confirmation(1, of=2)) == (EFFECTIVE, None)
    assert limits.value(limit) == D(looser_)


def test_who_asked_and_who_confirmed_from_what_to_what_are_on_record():
    limits = Limits(TradingSettings())
    limits.apply(limits.answer(request(1, VALUE, 300_000)))
    event = limits.answer(confirmation(1, of=1, at=5))
    assert (event.actor, event.confirmed_by, event.reason) == ("ada", "bob", "because")
    assert (event.previous, event.value) == (D(250_000), D(300_000))
    assert event.causation_id == "confirmation-1"


@pytest.mark.parametrize(
    ("wish", "refusal"),
    [
        (request(9, "maximum_fun", 1), LimitRefusal.UNKNOWN_LIMIT),
        (request(9, VALUE, 0), LimitRefusal.IMPOSSIBLE_VALUE),
        (request(9, "maximum_drawdown", 2), LimitRefusal.IMPOSSIBLE_VALUE),
        (request(9, VALUE, 250_000), LimitRefusal.UNCHANGED),
        (confirmation(9, of=7), LimitRefusal.NOTHING_PROPOSED),
        (confirmation(9, of=1, actor="ada"), LimitRefusal.SAME_PERSON),
        (confirmation(9, of=1, at=HOUR), LimitRefusal.EXPIRED),
        (confirmation(9, of=1, at=-1), LimitRefusal.EXPIRED),
    ],
)
def test_every_refusal_is_typed_and_changes_nothing(wish, refusal):
    limits = Limits(TradingSettings())
    answered(limits, request(1, VALUE, 300_000))
    before = limits.state()
    assert answered(limits, wish) == (REFUSED, refusal)
    assert limits.state() == before


@pytest.mark.parametrize("between", [request(2, VALUE, 400_000), request(2, VALUE, 1000)])
def test_a_later_request_replaces_what_waits(between):
    limits = Limits(TradingSettings())
    answered(limits, request(1, VALUE, 300_000))
    answered(limits, between)
    late = answered(limits, confirmation(1, of=1))
    assert late == (REFUSED, LimitRefusal.NOTHING_PROPOSED)


@pytest.mark.parametrize("limit", LIMITS)
def test_settings_alone_raise_nothing(make, limit):
    """A start with looser settings keeps what holds; one with stricter settings obeys them."""
    begun = Limits(TradingSettings())
    declared = begun.declaration(make.bar(0))
    begun.apply(declared)
    now = begun.value(limit)
    other = now * 2 if possible(limit, now * 2) else now / 2
    settings = TradingSettings.model_validate({limit: other})
    again = Limits.of(begun.state(), settings)
    assert again.value(limit) == now
    event = again.declaration(make.bar(1))
    again.apply(event)
    strictest = now if looser(limit, other, now) else other
    assert value_of(again.in_force, limit) == again.value(limit) == strictest
    assert list(again.looser_in_settings()) == ([limit] if strictest == now else [])
    assert again.declaration(make.bar(2)) is None


def test_what_two_persons_raised_outlives_the_settings(make):
    limits = Limits(TradingSettings())
    limits.apply(limits.declaration(make.bar(0)))
    answered(limits, request(1, VALUE, 300_000))
    answered(limits, confirmation(1, of=1))
    again = Limits.of(limits.state(), TradingSettings())
    assert again.declaration(make.bar(1)) is None
    assert again.in_force.maximum_order_value == 300_000


PERSONS = st.sampled_from(["ada", "bob", "eve"])
WISHES = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"),
            st.sampled_from([VALUE, "initial_margin", "message"]),
            st.sampled_from(["0.3", "0.6", "1", "250000", "400000"]),
            PERSONS,
            st.integers(0, 2 * HOUR),
        ),
        st.tuples(st.just("confirm"), st.integers(0, 11), PERSONS, st.integers(0, 2 * HOUR)),
    ),
    max_size=12,
)


@given(WISHES)
def test_no_person_alone_ever_raises_a_limit_and_a_replay_ends_the_same(wishes):
    settings = TradingSettings(initial_margin=D("0.6"))
    limits, log, asked = Limits(settings), [], {}
    for number, (kind, *rest) in enumerate(wishes):
        if kind == "ask":
            limit, value, actor, at = rest
            wish = asked[f"request-{number}"] = request(number, limit, value, actor, at)
        else:
            of, actor, at = rest
            wish = confirmation(number, of, actor, at)
        before = dict.fromkeys(LIMITS) | {limit: limits.value(limit) for limit in LIMITS}
        event = limits.answer(wish)
        limits.apply(event)
        log.append(event)
        for limit in LIMITS:
            after = limits.value(limit)
            assert value_of(limits.in_force, limit) == after
            if looser(limit, after, before[limit]):
                assert isinstance(wish, LimitChangeConfirmed)
                first = asked[wish.request_id]
                assert (first.limit, first.value) == (limit, after)
                assert first.actor == event.actor != event.confirmed_by == wish.actor
                waited = (wish.occurred_at - first.occurred_at).total_seconds()
                assert 0 <= waited < HOUR
            elif after != before[limit]:
                assert (wish.limit, wish.value, event.status) == (limit, after, EFFECTIVE)
    again = Limits(settings)
    for event in log:
        again.apply(event)
    assert again.state() == limits.state() == Limits.of(limits.state(), settings).state()


@pytest.fixture
def desk(make):
    """A gateway, what persons ask of it, and its record."""
    wishes, metrics, settings = [], make.metrics(), make.settings()
    requests = SimpleNamespace(requests=lambda: wishes)
    gateway = Gateway(
        PaperVenue(settings),
        make.clock(),
        metrics,
        settings,
        Surroundings(),
        limit_requests=requests,
    )
    return SimpleNamespace(gateway=gateway, wishes=wishes, metrics=metrics, settings=settings)


async def test_the_controls_ask_the_limits_in_force(make, desk):
    await desk.gateway.on_market_data(make.bar(0))
    desk.wishes.append(request(1, VALUE, 5_000))
    (event,) = await desk.gateway.obey()
    assert isinstance(event, LimitChangeUpdated)
    assert not await desk.gateway.obey()
    events = await desk.gateway.on_decision(make.decision(make.bar(0), quantity="100"))
    (update,) = [e for e in events if isinstance(e, OrderUpdated)]
    assert (update.status, update.denial.control) == (OrderStatus.DENIED, VALUE)
    assert update.denial.limit == 5_000
    desk.wishes += [request(2, VALUE, 20_000), confirmation(1, of=2, actor="ada")]
    assert [e.status for e in await desk.gateway.obey()] == [PROPOSED, REFUSED]
    desk.wishes.append(confirmation(2, of=2))
    assert [e.status for e in await desk.gateway.obey()] == [EFFECTIVE]
    events = await desk.gateway.on_decision(make.decision(make.bar(1), quantity="100"))
    assert [e.status for e in events if isinstance(e, OrderUpdated)] == [OrderStatus.SUBMITTED]
    counted = {s: desk.metrics.counts[Metric.LIMIT_CHANGES, s] for s in LimitChangeStatus}
    assert counted == {EFFECTIVE: 2, PROPOSED: 1, REFUSED: 1}


async def test_the_drawdown_guard_trips_at_the_limit_in_force(make, desk):
    await desk.gateway.on_market_data(make.bar(0))
    await desk.gateway.on_decision(make.decision(make.bar(0), quantity="2000"))
    await desk.gateway.dispatch()
    await desk.gateway.on_market_data(make.bar(1))
    desk.wishes.append(request(1, "maximum_drawdown", "0.01"))
    await desk.gateway.obey()
    await desk.gateway.on_market_data(make.bar(2, "92"))
    assert desk.gateway.book.trading_state == "REDUCING"


async def test_limits_outlive_a_restart_by_log_and_by_snapshot(make, desk):
    log = [*desk.gateway.declare_limits(make.bar(0))]
    assert isinstance(log[0], LimitsDeclared)
    desk.wishes += [request(1, VALUE, 5_000), request(2, "price_band", "0.9")]
    log += await desk.gateway.obey()
    book = OrderBook(desk.settings)
    for event in log:
        book.apply(event)
    kept = OrderBook.from_bytes(book.to_bytes(), desk.settings)
    for each in (book, kept):
        assert each.limits.value(VALUE) == 5_000
        assert each.limits.proposed["price_band"].value == D("0.9")
        assert each.has_taken(desk.wishes[0])
        assert each.to_bytes() == desk.gateway.book.to_bytes()
    assert book.market_time == make.at(0)  # a person's time is not the market's
