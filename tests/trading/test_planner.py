"""The Execution agent's plan, from the decision alone, in the order path of live and backtest."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.metrics import Metric
from domain.orders import ExecutionReport, OrderRole, OrderStatus, OrderUpdated, Side
from domain.sessions import Sessions
from domain.settings import Settings
from domain.voting import AgentId
from tests.trading.test_children import sessions
from trading.children import children
from trading.gateway import Gateway
from trading.handler import GatewayHandler
from trading.paper_venue import PaperVenue
from trading.planner import ExecutionPlanner

D = Decimal
S = OrderStatus


def forecast(make, volume, volatility="0.02"):
    """Counted votes of which the Execution agent's expects `volume` shares a day."""
    figures = {
        "log_volume": D(f"{math.log(volume):.6f}"),
        "daily_volatility": D(volatility),
    }
    return tuple(
        replace(vote, risk_assessment=figures) if vote.agent_id == AgentId.EXECUTION else vote
        for vote in make.counted()
    )


def decided(make, quantity, volume):
    return make.decision(make.bar(0), quantity=str(quantity), votes=forecast(make, volume))


def planned(make, quantity, volume, **settings):
    metrics = make.metrics()
    planner = ExecutionPlanner(make.settings(**settings), metrics)
    return planner(make.order(str(quantity)), decided(make, quantity, volume)), metrics


def test_what_one_session_holds_leaves_whole_on_daily_bars(make):
    plan, metrics = planned(make, 1_000, 1_000_000)
    assert plan is None
    assert not metrics.counts


def test_a_plan_by_half_hours_follows_the_agent(make):
    plan, _ = planned(make, 1_300, 1_000_000, slice_seconds=1800)
    assert [c.seconds for c in plan.children] == [n * 1800 for n in range(13)]
    assert sum(c.quantity for c in plan.children) == 1_300


def test_what_is_too_much_for_a_session_takes_several(make):
    plan, _ = planned(make, 1_250, 10_000)  # a twentieth of the volume a session
    assert [c.session for c in plan.children] == [0, 1, 2]
    assert max(c.quantity for c in plan.children) <= 507  # half a share a bucket is forgiven


def test_without_the_agents_forecast_it_leaves_whole_and_is_counted(make):
    metrics = make.metrics()
    planner = ExecutionPlanner(make.settings(), metrics)
    assert planner(make.order("100"), make.decision(make.bar(0))) is None
    assert metrics.counts[Metric.UNPLANNED_ORDERS,] == 1


@given(
    quantity=st.integers(1, 5_000),
    volume=st.integers(20_000, 10_000_000),
    slice_seconds=st.sampled_from([1, 1800, 3600, 86_400]),
    lot=st.sampled_from(["1", "10", "0.5"]),
)
def test_children_are_whole_lots_and_sum_to_their_parent(
    make, quantity, volume, slice_seconds, lot
):
    settings = make.settings(slice_seconds=slice_seconds, lot_size=D(lot))
    parent = make.order(str(quantity * D(lot)))
    plan = ExecutionPlanner(settings, make.metrics())(
        parent, decided(make, parent.quantity, volume)
    )
    if plan is None:
        return
    made = children(parent, plan, make.at(0), None, slice_seconds=slice_seconds)
    assert sum(child.quantity for child in made) == parent.quantity
    assert all(child.quantity % D(lot) == 0 for child in made)
    assert [c.created_at for c in made] == sorted(c.created_at for c in made)


def gateway(make, **settings):
    limits = make.settings(**settings)
    metrics = make.metrics()
    return Gateway(
        PaperVenue(limits),
        make.clock(),
        metrics,
        limits,
        plan=ExecutionPlanner(limits, metrics),
    )


async def test_a_large_order_is_worked_over_sessions_each_child_through_the_controls(make):
    path, log = gateway(make), []
    log += await path.on_market_data(make.bar(0, volume="10000"))
    log += await path.on_decision(decided(make, 1_250, 10_000))
    log += await path.dispatch()
    for day in range(1, 5):
        log += await path.on_market_data(make.bar(day, volume="20000"))
        log += await path.dispatch()
    (parent,) = [s for s in path.book.orders.values() if s.order.role is OrderRole.PARENT]
    assert (parent.status, parent.filled) == (S.FILLED, 1_250)
    fills = [e for e in log if isinstance(e, ExecutionReport)]
    assert len({e.client_order_id for e in fills}) == 3
    # No child is submitted that the controls were not asked about just then.
    left = [e for e in log if isinstance(e, OrderUpdated) and e.status is S.SUBMITTED]
    assert [e.order.role for e in left] == [OrderRole.PARENT, *[OrderRole.CHILD] * 3]


async def test_a_child_that_a_control_refuses_is_denied_alone(make):
    path, log = gateway(make, maximum_order_value=D(130_000)), []
    log += await path.on_market_data(make.bar(0, volume="10000"))
    log += await path.on_decision(decided(make, 1_250, 10_000))
    log += await path.dispatch()
    log += await path.on_market_data(make.bar(1, "109", volume="10000"))
    log += await path.dispatch()
    log += await path.on_market_data(make.bar(2, "120", volume="10000"))  # beyond the collar
    denied = [e for e in log if isinstance(e, OrderUpdated) and e.denial]
    assert [(e.order.role, e.denial.control) for e in denied] == [(OrderRole.CHILD, "price_collar")]
    assert path.book.ledger.quantity("IBM") == 1_250 - denied[0].order.quantity


async def test_what_no_market_has_room_for_is_denied_and_told(make):
    path = gateway(make)
    await path.on_market_data(make.bar(0))
    (_, update) = await path.on_decision(decided(make, 90_000, 1_000))
    assert update.status is S.DENIED
    assert update.denial.control == "execution_plan"
    assert "sessions" in update.reason
    assert await path.dispatch() == []


def test_what_is_due_at_an_open_may_leave_once_the_session_before_has_closed(make):
    calendar: Sessions = sessions(make)
    plan, _ = planned(make, 1_250, 10_000)
    parent = make.order("1250")
    first, second, _ = children(
        parent, plan, make.at(0), calendar, slice_seconds=86_400, ahead=True
    )
    assert first.created_at == make.at(0)
    assert second.created_at == calendar.closed_before(calendar.due(make.at(0), 1))
    later = children(parent, plan, make.at(0), calendar, slice_seconds=86_400)[1]
    assert later.created_at == calendar.due(make.at(0), 1)


async def test_the_running_gateway_plans_as_the_backtest_does(make):
    """The service's handler and the backtest build the same order path."""
    from evaluation.backtest import Backtest  # noqa: PLC0415 - only here

    settings = Settings()
    live = GatewayHandler(
        PaperVenue(settings.trading), make.clock(), make.metrics(), settings
    ).gateway
    tested = Backtest(
        lambda _bar, _portfolio: None,
        lambda _agent, _proposal: None,
        clock=make.clock(),
        metrics=make.metrics(),
        settings=settings.trading,
        rules=None,
    )._gateway
    logs = []
    for path in (live, tested):
        log = [*await path.on_market_data(make.bar(0, volume="10000"))]
        log += await path.on_decision(decided(make, 1_250, 10_000))
        log += await path.dispatch()
        logs.append(log)
    assert logs[0] == logs[1]
    assert any(getattr(e, "order", None) and e.order.role is OrderRole.CHILD for e in logs[0])


def test_a_sale_is_planned_as_what_is_held(make):
    planner = ExecutionPlanner(make.settings(), make.metrics())
    shortened = make.order("1000", Side.SELL)
    plan = planner(shortened, decided(make, 1_250, 10_000))
    assert (plan.side, plan.quantity) == (Side.SELL, 1_000)


def test_a_decision_too_thin_is_no_plan(make):
    with pytest.raises(InvalidValue, match="sessions"):
        planned(make, 90_000, 1_000)
