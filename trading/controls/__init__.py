"""Pre-trade controls: every order passes all of them, in this order, before it leaves.

Each control is a pure function of the order and what is known at that moment; it returns the
`Denial` that says what was measured and what is allowed, or None. Orders already sent count as if
they had filled, so a burst of orders can't pass a limit that their sum breaks.
"""

from collections.abc import Callable

from domain.orders import Denial, Order
from trading.controls.context import ControlContext
from trading.controls.gates import (
    duplicate_order,
    price_collar,
    stale_price,
    trading_state,
    unknown_symbol,
)
from trading.controls.limits import (
    buying_power,
    drawdown_guard,
    gross_exposure,
    maximum_order_value,
    maximum_position,
    short_sale,
)

Control = Callable[[Order, ControlContext], Denial | None]

#: All controls in the order in which they are asked; the first denial counts.
CONTROLS: tuple[Control, ...] = (
    trading_state,
    duplicate_order,
    unknown_symbol,
    stale_price,
    price_collar,
    maximum_order_value,
    short_sale,
    drawdown_guard,
    maximum_position,
    gross_exposure,
    buying_power,
)


def first_denial(order: Order, context: ControlContext) -> Denial | None:
    """Return the first control's denial, or None if the order may leave."""
    for control in CONTROLS:
        denial = control(order, context)
        if denial is not None:
            return denial
    return None
