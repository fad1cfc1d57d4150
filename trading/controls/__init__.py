"""Pre-trade controls: every order passes all of them, in this order, before it leaves.

Each control is a pure function of the order and what is known at that moment; it returns the
`Denial` that says what was measured and what is allowed, or None. Orders already sent count as if
they had filled, so a burst of orders can't pass a limit that their sum breaks.
`docs/controls.md` says which rule each one answers.
"""

from collections.abc import Callable

from domain.orders import EVERYTHING, Denial, Order, Scope
from trading.activity import scope_of_strategy
from trading.controls.context import ControlContext
from trading.controls.gates import (
    duplicate_order,
    market_closed,
    repeated_order,
    restricted_list,
    stale_price,
    trading_state,
    unknown_symbol,
    venue_connection,
)
from trading.controls.limits import (
    buying_power,
    gross_exposure,
    margin,
    maximum_position,
    maximum_position_value,
    net_exposure,
    sector_exposure,
    short_sale,
    short_sale_locate,
)
from trading.controls.losses import cool_down, daily_loss, drawdown_guard, low_profit_lock
from trading.controls.rates import message_rate, repeated_execution
from trading.controls.software import mixed_versions, other_version, unknown_flag
from trading.controls.terms import (
    lot_size,
    maximum_order_quantity,
    maximum_order_value,
    parent_quantity,
    price_band,
    price_collar,
    self_match,
    tick_size,
)

Control = Callable[[Order, ControlContext], Denial | None]

#: All controls in the order in which they are asked; the first denial counts.
CONTROLS: tuple[Control, ...] = (
    trading_state,
    venue_connection,
    mixed_versions,
    other_version,
    unknown_flag,
    duplicate_order,
    parent_quantity,
    restricted_list,
    unknown_symbol,
    market_closed,
    stale_price,
    tick_size,
    lot_size,
    price_collar,
    price_band,
    maximum_order_quantity,
    maximum_order_value,
    repeated_execution,
    message_rate,
    short_sale,
    short_sale_locate,
    repeated_order,
    self_match,
    drawdown_guard,
    daily_loss,
    cool_down,
    low_profit_lock,
    maximum_position,
    maximum_position_value,
    gross_exposure,
    net_exposure,
    sector_exposure,
    margin,
    buying_power,
)


#: Controls whose denial stops the order's strategy until a person resumes it.
_STOPPING = (repeated_execution.__name__, parent_quantity.__name__)
#: Controls whose denial stops all trading: what runs is not known.
_STOPPING_ALL = (unknown_flag.__name__, other_version.__name__)


def stopped_by(denial: Denial, order: Order) -> Scope | None:
    """Return what trades no more after a denial until a person resumes it; None for nothing."""
    if denial.control in _STOPPING_ALL:
        return EVERYTHING
    return scope_of_strategy(order.strategy) if denial.control in _STOPPING else None


def first_denial(order: Order, context: ControlContext) -> Denial | None:
    """Return the first control's denial, or None if the order may leave."""
    for control in CONTROLS:
        denial = control(order, context)
        if denial is not None:
            return denial
    return None
