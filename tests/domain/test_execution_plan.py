from decimal import Decimal

import msgspec
import pytest

from domain.errors import InvalidValue
from domain.execution_plan import Algorithm, ChildOrder, ExecutionPlan
from domain.messages import encode
from domain.orders import Side


def make_plan(*children, quantity=100):
    return ExecutionPlan(
        proposal_id="p",
        symbol="AAA",
        side=Side.BUY,
        quantity=Decimal(quantity),
        algorithm=Algorithm.TWAP,
        children=children,
        arrival_price=Decimal(10),
        expected_cost_bps=Decimal(2),
        cost_deviation_bps=Decimal(1),
    )


def child(seconds, quantity, session=0):
    return ChildOrder(session=session, seconds=seconds, quantity=Decimal(quantity))


def test_what_is_due_counts_children_up_to_a_second_of_a_session():
    plan = make_plan(child(0, 30), child(1800, 50), child(0, 20, session=1))
    assert [plan.due_by(0, 0), plan.due_by(0, 1799), plan.due_by(0, 1800)] == [30, 30, 80]
    assert [plan.due_by(0, 86_399), plan.due_by(1, 0)] == [80, 100]


def test_a_plan_survives_its_bytes():
    plan = make_plan(child(0, 30), child(1800, 70))
    assert msgspec.json.decode(encode(plan), type=ExecutionPlan) == plan


@pytest.mark.parametrize(
    "children",
    [(), (child(0, 99),), (child(0, 60), child(9, 60)), (child(9, 50), child(0, 50))],
)
def test_children_that_are_not_the_parent_in_order_are_refused(children):
    with pytest.raises(InvalidValue):
        make_plan(*children)


def test_a_child_of_nothing_is_refused():
    with pytest.raises(InvalidValue):
        child(0, 0)
