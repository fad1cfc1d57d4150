"""Cut an order into the children that its execution plan names, each with the instant it is due."""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.execution_plan import ExecutionPlan
from domain.identity import client_order_id
from domain.orders import Order, OrderRole
from domain.sessions import Sessions
from domain.voting import ConsensusResult

#: Says how an order is to be worked; None sends it whole.
Planner = Callable[[Order, ConsensusResult], ExecutionPlan | None]


def children(
    parent: Order,
    plan: ExecutionPlan,
    now: datetime,
    sessions: Sessions | None,
    *,
    slice_seconds: int = 1,
    ahead: bool = False,
) -> list[Order]:
    """Return the children of a parent in the order of their time; what is past is due now.

    Parameters
    ----------
    sessions
        The venue's calendar; without one a session opens now, and the next a day later.
    slice_seconds
        What is due within so many seconds of each other leaves together.
    ahead
        Whether what is due at an open leaves once the session before has closed, to wait for it.

    Raises
    ------
    InvalidValue
        If the plan is for something else, or reaches past the calendar.
    """
    if (plan.symbol, plan.side, plan.quantity) != (parent.symbol, parent.side, parent.quantity):
        raise InvalidValue(
            f"The plan is to {plan.side} {plan.quantity} {plan.symbol}, the order to "
            f"{parent.side} {parent.quantity} {parent.symbol}.",
            next_step="Plan the order that is to be worked.",
        )
    made: list[Order] = []
    for number, child in enumerate(plan.in_slices(slice_seconds), 1):
        opens = sessions.due(now, child.session) if sessions else now + timedelta(child.session)
        if opens is None:
            raise InvalidValue(
                f"The plan needs {child.session + 1} sessions, and the calendar ends before.",
                next_step="Give the gateway a longer calendar, or trade less.",
            )
        due = opens + timedelta(seconds=child.seconds)
        if ahead and sessions and not child.seconds:
            due = sessions.closed_before(opens) or opens
        made.append(
            replace(
                parent,
                client_order_id=client_order_id(parent.decision_id, number),
                quantity=child.quantity,
                created_at=max(now, due),
                role=OrderRole.CHILD,
                parent_order_id=parent.client_order_id,
            )
        )
    return made
