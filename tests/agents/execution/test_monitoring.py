from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.monitoring import MarketTape, Step, monitor
from domain.errors import InvalidValue
from domain.execution_plan import Algorithm, ChildOrder, ExecutionPlan
from domain.money import canonical
from domain.orders import ExecutionReport, Side

OPEN = datetime(2020, 1, 2, 14, 30, tzinfo=UTC)
FLAT = (100.0,) * 14


def make_plan(side=Side.BUY, expected=3, deviation=20):
    return ExecutionPlan(
        proposal_id="p", symbol="AAA", side=side, quantity=Decimal(1000),
        algorithm=Algorithm.TWAP,
        children=tuple(ChildOrder(seconds=1800 * i, quantity=Decimal(100)) for i in range(10)),
        arrival_price=Decimal(100), expected_cost_bps=Decimal(expected),
        cost_deviation_bps=Decimal(deviation),
    )  # fmt: skip


def fill(seconds, quantity, price, side=Side.BUY, symbol="AAA", name=None):
    return ExecutionReport(
        message_id=f"m{seconds}", correlation_id="c", occurred_at=OPEN,
        execution_id=name or f"e{seconds}", client_order_id="o", decision_id="d", symbol=symbol,
        side=side, quantity=Decimal(quantity), price=canonical(price),
        executed_at=OPEN + timedelta(seconds=seconds),
    )  # fmt: skip


def tape(prices=FLAT, volumes=None):
    """One price a half hour, from the open on."""
    start = int(OPEN.timestamp() * 1e6)
    times = start + np.arange(len(prices), dtype=np.int64) * 1_800_000_000
    volumes = np.ones(len(prices)) if volumes is None else np.array(volumes, dtype=float)
    return MarketTape(times, np.array(prices), volumes)


def watch(fills, market=None, plan=None, seconds=3599, **more):
    return monitor(plan or make_plan(), fills, market or tape(), session=0, seconds=seconds, **more)


def test_costs_against_arrival_vwap_and_close():
    market = tape([100.0, 102.0], volumes=[3, 1])
    found = watch([fill(0, 100, 100.5), fill(60, 100, 101.5)], market)
    assert found.filled == pytest.approx(0.2)
    assert found.due == pytest.approx(0.2)
    assert found.arrival_bps == pytest.approx(100.0)
    assert found.vwap_bps == pytest.approx((101 / 100.5 - 1) * 1e4)
    assert found.close_bps == pytest.approx((101 / 102 - 1) * 1e4)


@given(st.floats(90, 110), st.floats(90, 110))
def test_a_sale_costs_what_the_same_purchase_gains(price, last):
    market = tape([100.0, last])
    bought = watch([fill(0, 200, price)], market)
    sold = watch([fill(0, 200, price, Side.SELL)], market, make_plan(Side.SELL))
    for name in ("arrival_bps", "vwap_bps", "close_bps", "adverse_selection_bps"):
        assert getattr(bought, name) == pytest.approx(-getattr(sold, name))


def test_adverse_selection_is_the_move_against_each_fill_five_minutes_on():
    market = tape([100.0, 99.0, 98.0])
    found = watch([fill(0, 100, 100.0), fill(1700, 100, 100.0)], market)
    assert found.adverse_selection_bps == pytest.approx((100 + 200) / 2)
    # A fill that is too young is left out.
    late = watch([fill(0, 100, 100.0), fill(3500, 100, 50.0)], market)
    assert late.adverse_selection_bps == pytest.approx(100)


def test_reversion_is_known_once_all_is_filled():
    market = tape([100.0, 101.0, 100.2])
    done = watch([fill(0, 500, 100.4), fill(1800, 500, 101.0)], market)
    assert done.step is Step.DONE
    assert done.reversion_bps == pytest.approx((1 - 100.2 / 101.0) * 1e4)
    assert watch([fill(0, 200, 100.4)], market).reversion_bps is None


def test_before_the_first_fill_nothing_is_known_of_costs():
    found = watch([], seconds=0)
    assert found[2:7] == (None,) * 5
    assert found.step is Step.CONTINUE


def test_on_schedule_it_goes_on():
    assert watch([fill(0, 200, 100.02)]).step is Step.CONTINUE
    assert watch([fill(0, 100, 100.02)]).step is Step.CONTINUE


@pytest.mark.parametrize("filled", [50, 400])
def test_off_schedule_it_replans(filled):
    found = watch([fill(0, filled, 100.02)])
    assert found.step is Step.REPLAN
    assert "due" in found.reason


@pytest.mark.parametrize(("ratio", "step"), [(0.4, Step.REPLAN), (0.6, "continue"), (3, "replan")])
def test_volume_unlike_its_forecast_replans(ratio, step):
    found = watch([fill(0, 200, 100.02)], expected_volume=len(FLAT) / ratio)
    assert found.step == step


def test_it_stops_where_the_price_has_run_away():
    # 3 bps expected and three deviations of 20: 63 bps are allowed.
    for price, last, step in ((100.62, 100, "continue"), (100.64, 100, "stop"), (100, 101, "stop")):
        assert watch([fill(0, 200, price)], tape([100.0, last])).step == step
    assert watch([fill(0, 200, 99.0)], tape([100.0, 99.0])).step is Step.CONTINUE


@pytest.mark.parametrize(
    "fills",
    [
        [fill(0, 100, 100), fill(0, 100, 100)],
        [fill(0, 100, 100, symbol="BBB")],
        [fill(0, 100, 100, Side.SELL)],
        [fill(0, 1001, 100)],
    ],
)
def test_fills_that_are_not_the_orders_are_a_typed_error(fills):
    with pytest.raises(InvalidValue):
        watch(fills)


@pytest.mark.parametrize(
    "market",
    [
        tape([100.0, np.nan]),
        tape([100.0, -1.0]),
        tape([100.0, 100.0], volumes=[1, -1]),
        tape()._replace(times=tape().times[::-1]),
        tape()._replace(prices=np.array([1.0])),
    ],
)
def test_an_impossible_tape_is_a_typed_error(market):
    with pytest.raises(InvalidValue):
        watch([fill(0, 100, 100)], market)
