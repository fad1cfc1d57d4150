from datetime import date, timedelta
from decimal import Decimal

import pytest

from domain.orders import (
    EVERYTHING,
    OrderRole,
    OrderType,
    Scope,
    ScopeKind,
    Side,
    TradingState,
    TradingStateChanged,
)
from trading.activity import Activity

D = Decimal


@pytest.fixture
def activity(make):
    return Activity(make.settings(minimum_profit_trades=2))


def changed(make, scope, state=TradingState.ACTIVE):
    return TradingStateChanged(
        message_id="changed",
        correlation_id="changed",
        occurred_at=make.at(0),
        state=state,
        actor="ada",
        reason="why",
        scope=scope,
    )


def test_messages_are_those_of_the_last_second(make, activity):
    for _ in range(3):
        activity.sent(make.order())
    assert activity.messages(make.at(0)) == 3
    assert activity.messages(make.at(0) + timedelta(milliseconds=999)) == 3
    assert activity.messages(make.at(0) + timedelta(seconds=1)) == 0


def test_executions_count_by_strategy_until_a_person_resumes_it(make, activity):
    for _ in range(3):
        activity.sent(make.order(strategy="a"))
    activity.sent(make.order(strategy="b"))
    child = {"role": OrderRole.CHILD, "parent_order_id": "q-0"}
    activity.sent(make.order(strategy="a", **child))
    assert (activity.executions("a", make.at(0)), activity.executions("b", make.at(0))) == (3, 1)
    strategy = Scope(kind=ScopeKind.STRATEGY, name="a")
    activity.changed(changed(make, strategy, TradingState.HALTED))
    assert activity.executions("a", make.at(0)) == 3
    activity.changed(changed(make, strategy))
    assert (activity.executions("a", make.at(0)), activity.executions("b", make.at(0))) == (0, 1)
    assert activity.executions("b", make.at(1)) == 0


def test_the_same_terms_are_alike_whatever_their_ids(make, activity):
    activity.sent(make.order("100", number=0))
    assert activity.alike(make.order("100", number=1))
    assert not activity.alike(make.order("101", number=1))
    assert not activity.alike(make.order("100", Side.SELL, number=1))
    assert not activity.alike(make.order("100", day=1, number=1))


def test_children_count_what_filled_and_what_may(make, activity):
    child = {"role": OrderRole.CHILD, "parent_order_id": "q-0"}
    first, second = (make.order("60", number=n, **child) for n in (1, 2))
    activity.at_risk(first, D(60))
    activity.at_risk(second, D(60))
    activity.at_risk(first, D(20))  # cancelled after 20
    assert activity.children("q-0") == 80
    assert activity.children("q-0", but=second.client_order_id) == 20


def test_a_day_starts_from_the_equity_of_the_day_before(make, activity):
    for day, equity in [(0, 100), (0, 90), (1, 80), (1, 70), (2, 60)]:
        activity.valued(D(equity), make.at(day))
    assert make.at(2).date() == date(2012, 9, 6)
    assert activity.day_start == 70
    activity.changed(changed(make, EVERYTHING))
    assert activity.day_start == 60


def test_only_a_stop_that_closed_something_cools_down(make, activity):
    stop = make.order(side=Side.SELL, order_type=OrderType.STOP, stop_price=D(95))
    activity.filled(stop, make.at(1), D(0), D(0))
    activity.filled(make.order(), make.at(1), D(-5), D(100))
    assert activity.stopped_out("IBM") is None
    activity.filled(stop, make.at(2), D(-5), D(100))
    assert activity.stopped_out("IBM") == make.at(2)


def test_the_mean_return_is_of_the_last_closing_trades(make, activity):
    for day, profit in [(1, 50), (2, -10)]:
        assert activity.mean_return("IBM", make.at(2)) is None
        activity.filled(make.order(), make.at(day), D(profit), D(100))
    assert activity.mean_return("IBM", make.at(2)) == D("0.2")
    activity.filled(make.order(), make.at(3), D(-30), D(100))
    assert activity.mean_return("IBM", make.at(3)) == D("-0.2")
    assert activity.mean_return("IBM", make.at(40)) is None
