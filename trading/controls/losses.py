"""Controls that hold back after losses; what only reduces a position always passes."""

from datetime import timedelta

from domain.money import canonical
from domain.orders import Denial, Order
from trading.controls.context import ControlContext, denied, drawdown, reduces


def drawdown_guard(order: Order, context: ControlContext) -> Denial | None:
    """Let out only what reduces while equity is far below its high-water mark (fraction)."""
    fallen, limit = (
        drawdown(context.equity, context.high_water_mark),
        context.limits.maximum_drawdown,
    )
    if fallen >= limit and not reduces(order, context):
        reason = "equity is too far below its high-water mark"
        return denied("drawdown_guard", reason, fallen, limit)
    return None


def daily_loss(order: Order, context: ControlContext) -> Denial | None:
    """Let out only what reduces for the rest of a day that has lost too much (fraction)."""
    lost, limit = drawdown(context.equity, context.day_start), context.limits.maximum_daily_loss
    if lost >= limit and not reduces(order, context):
        return denied("daily_loss", "the day has lost too much", lost, limit)
    return None


def cool_down(order: Order, context: ControlContext) -> Denial | None:
    """Let a symbol be entered again only some time after one of its stops was hit (seconds)."""
    if context.stopped_out_at is None:
        return None
    wait = timedelta(seconds=context.limits.cool_down_seconds)
    passed = context.now - context.stopped_out_at
    if passed < wait and not reduces(order, context):
        measured, limit = canonical(passed.total_seconds()), canonical(wait.total_seconds())
        return denied("cool_down", "a stop of the symbol was hit just before", measured, limit)
    return None


def low_profit_lock(order: Order, context: ControlContext) -> Denial | None:
    """Let a symbol not be entered whose last closing trades earned too little (fraction)."""
    earned, limit = context.mean_return, context.limits.minimum_profit
    if earned is not None and earned < limit and not reduces(order, context):
        return denied(
            "low_profit_lock", "the symbol's last trades earned too little", earned, limit
        )
    return None
