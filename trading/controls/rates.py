"""Controls that count: messages a second, applications of a strategy."""

from decimal import Decimal

from domain.orders import Denial, Order
from trading.controls.context import ControlContext, denied


def message_rate(_order: Order, context: ControlContext) -> Denial | None:
    """Limit the orders that leave within a second."""
    limit = context.limits.maximum_messages_per_second
    if context.messages >= limit:
        reason = "too many orders within a second"
        return denied("message_rate", reason, Decimal(context.messages + 1), Decimal(limit))
    return None


def repeated_execution(order: Order, context: ControlContext) -> Denial | None:
    """Limit how often a strategy is applied; beyond, it stops until a person resumes it."""
    limit = context.limits.maximum_executions
    if not order.parent_order_id and context.executions >= limit:
        reason = f"strategy {order.strategy or '(unnamed)'} was applied too often"
        return denied("repeated_execution", reason, Decimal(context.executions + 1), Decimal(limit))
    return None
