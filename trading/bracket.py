"""A bracket: an entry, and two ways out of it of which only one is taken."""

from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.identity import client_order_id
from domain.orders import Order, OrderRole, OrderType, Side, TimeInForce


class Exits(NamedTuple):
    """The ways out: a limit order beyond the entry, and a stop before it."""

    take_profit: Order
    stop_loss: Order


def exits(entry: Order, filled: Decimal, *, take_profit: Decimal, stop_loss: Decimal) -> Exits:
    """Return the ways out of what has filled of an entry.

    They rest at the venue until one of them has filled (good till cancelled); the venue, or the
    broker, ends the other one then.

    Parameters
    ----------
    filled
        What the entry bought or sold (shares).
    take_profit, stop_loss
        Prices (quote currency): limit of the one, stop of the other.

    Raises
    ------
    InvalidValue
        If the entry's price does not lie between the two, or nothing has filled.
    """
    low, high = sorted((take_profit, stop_loss))
    buys = entry.side is Side.BUY
    if not low < entry.arrival_price < high or (take_profit > stop_loss) is not buys:
        raise InvalidValue(
            f"A {entry.side} at {entry.arrival_price} can't take its profit at {take_profit} and "
            f"its loss at {stop_loss}.",
            next_step="Put the profit on the far side of the price, the stop on the near one.",
        )
    terms = {
        "side": Side.SELL if buys else Side.BUY,
        "quantity": filled,
        "time_in_force": TimeInForce.GTC,
        "limit_price": None,
        "stop_price": None,
        "trail": None,
        "parent_order_id": entry.client_order_id,
    }
    return Exits(
        replace(
            entry,
            **{**terms, "order_type": OrderType.LIMIT, "limit_price": take_profit},
            role=OrderRole.TAKE_PROFIT,
            client_order_id=client_order_id(entry.decision_id, OrderRole.TAKE_PROFIT),
        ),
        replace(
            entry,
            **{**terms, "order_type": OrderType.STOP, "stop_price": stop_loss},
            role=OrderRole.STOP_LOSS,
            client_order_id=client_order_id(entry.decision_id, OrderRole.STOP_LOSS),
        ),
    )
