"""A bracket: an entry, and the ways out of it of which only one is taken."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self

import msgspec
from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.identity import client_order_id
from domain.money import EXACT, canonical
from domain.orders import Order, OrderRole, OrderType, Side, TimeInForce
from domain.settings import TradingSettings
from domain.voting import AgentId, ConsensusResult

#: The figures of the Risk Manager's vote that a bracket needs.
STOP, TARGET, TRAIL, DAYS = "stop_price", "target_price", "trailing_distance", "time_stop_days"


class Bracket(msgspec.Struct, frozen=True):
    """Where a position is closed (prices in the quote currency).

    Parameters
    ----------
    trail
        Distance at which the stop follows the best price since the entry.
    days
        Trading days after which what is left is closed.
    """

    take_profit: Decimal
    stop_loss: Decimal
    trail: Decimal
    days: int

    @classmethod
    def of(cls, decision: ConsensusResult, settings: TradingSettings) -> Self | None:
        """Return the bracket that the Risk Manager's vote names, on the grid of its ticks.

        None where its vote did not count, or says nothing of it.
        """
        symbol = decision.proposal.symbol
        tick = settings.tick_sizes.get(symbol, settings.tick_size)
        for vote in decision.counted:
            figures = vote.risk_assessment
            if vote.agent_id == AgentId.RISK_MANAGER and STOP in figures:
                return cls(*_on_grid(figures, tick), int(figures[DAYS]))
        return None


class Guard(msgspec.Struct):
    """What is still to be closed of an entry that has ended.

    Parameters
    ----------
    remaining
        Shares that no way out, and no other sale, has closed.
    since
        When the entry ended; the time stop counts from it.
    made
        How often ways out were made; it tells their ids apart.
    """

    bracket: Bracket
    remaining: Decimal
    since: datetime
    made: int = 0


class Exits(NamedTuple):
    """The ways out: a limit order beyond the entry, and a stop before it."""

    take_profit: Order
    stop_loss: Order


def exits(
    entry: Order,
    filled: Decimal,
    *,
    take_profit: Decimal,
    stop_loss: Decimal,
    trail: Decimal | None = None,
    made: int = 0,
) -> Exits:
    """Return the ways out of what has filled of an entry.

    They rest at the venue until one of them has filled (good till cancelled); the venue, or the
    order path, ends the other one then.

    Parameters
    ----------
    filled
        What the entry bought or sold (shares).
    take_profit, stop_loss
        Prices (quote currency): limit of the one, stop of the other.
    trail
        Distance at which the stop follows the best price; None leaves it where it is.
    made
        How often ways out of this entry were made before.

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
    stop_type = OrderType.STOP if trail is None else OrderType.TRAILING_STOP
    profit = way_out(entry, filled, OrderRole.TAKE_PROFIT, made)
    stop = way_out(entry, filled, OrderRole.STOP_LOSS, made)
    return Exits(
        replace(profit, order_type=OrderType.LIMIT, limit_price=take_profit),
        replace(stop, order_type=stop_type, stop_price=stop_loss, trail=trail),
    )


def way_out(entry: Order, quantity: Decimal, role: OrderRole, made: int) -> Order:
    """Return a market order that closes `quantity` shares of an entry."""
    number = (role, made) if made else (role,)
    return replace(
        entry,
        client_order_id=client_order_id(entry.decision_id, "-".join(map(str, number))),
        side=Side.SELL if entry.side is Side.BUY else Side.BUY,
        quantity=quantity,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY if role is OrderRole.TIME_STOP else TimeInForce.GTC,
        limit_price=None,
        stop_price=None,
        trail=None,
        role=role,
        parent_order_id=entry.client_order_id,
    )


def _on_grid(figures: Mapping[str, Decimal], tick: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Return target, stop and trail in whole ticks, the trail in one at least."""
    target, stop, trail = (figures[name] for name in (TARGET, STOP, TRAIL))
    if not tick:
        return target, stop, trail
    whole = (
        canonical(EXACT.multiply(EXACT.to_integral_value(EXACT.divide(value, tick)), tick))
        for value in (target, stop, trail)
    )
    return next(whole), next(whole), max(next(whole), tick)
