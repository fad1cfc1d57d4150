"""Orders, what happened to them, and why one was denied."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.errors import InvalidValue
from domain.market import Symbol
from domain.messages import Identifier, Message, Value, message_type, set_field, utc
from domain.money import ZERO, canonical, not_negative, positive


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order may be priced; a bracket is three orders (`trading.bracket`)."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


class TimeInForce(StrEnum):
    """How long an order lives; AT_CLOSE trades in the session's close alone."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    AT_CLOSE = "AT_CLOSE"


class OrderRole(StrEnum):
    """What an order is to others: worked by children, a slice of it, or a way out of it.

    A PARENT itself never leaves for a venue.
    """

    SINGLE = "SINGLE"
    PARENT = "PARENT"
    CHILD = "CHILD"
    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_LOSS = "STOP_LOSS"
    TIME_STOP = "TIME_STOP"


#: The two ways out that rest at the venue together; no more than one of them is taken.
RESTING_EXITS = (OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS)
#: Every order that closes what its entry opened.
EXITS = (*RESTING_EXITS, OrderRole.TIME_STOP)

#: The prices that each type needs; it has no other.
PRICES: Mapping[OrderType, tuple[str, ...]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("limit_price", "stop_price"),
    OrderType.TRAILING_STOP: ("stop_price", "trail"),
}


class OrderStatus(StrEnum):
    """Where an order is in its life; UNKNOWN: it was sent and nobody answered."""

    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class TradingState(StrEnum):
    """ACTIVE trades, REDUCING only shrinks exposure, HALTED only cancels."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class ScopeKind(StrEnum):
    """What a trading state is about."""

    GLOBAL = "GLOBAL"
    STRATEGY = "STRATEGY"
    SYMBOL = "SYMBOL"
    VENUE = "VENUE"


class Scope(Value, frozen=True, kw_only=True):
    """All trading, or that of one strategy, symbol or venue."""

    kind: ScopeKind = ScopeKind.GLOBAL
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""

    def __post_init__(self) -> None:
        if (self.kind is ScopeKind.GLOBAL) is not (self.name == ""):
            raise InvalidValue(
                f"The scope {self.kind} can't have the name {self.name!r}.",
                next_step="Name the strategy, symbol or venue; all of trading has no name.",
            )

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}" if self.name else "all trading"


#: All trading.
EVERYTHING = Scope()


class Origin(Value, frozen=True, kw_only=True):
    """Which software made an order.

    Parameters
    ----------
    worker
        The process.
    software_version
        What it runs.
    flags
        Names of the switches that it was given with the order.
    """

    worker: Identifier = ""
    software_version: Identifier = ""
    flags: tuple[Identifier, ...] = ()


class Order(Value, frozen=True, kw_only=True):
    """An order intent: what the gateway sends and the broker dedupes by `client_order_id`.

    Parameters
    ----------
    limit_price
        Worst price (quote currency) of a LIMIT or STOP_LIMIT order.
    stop_price
        Price from which a STOP or STOP_LIMIT order is live; where a TRAILING_STOP starts.
    trail
        Distance (quote currency) at which a TRAILING_STOP follows the best price.
    strategy
        Who proposed the trade; limits and the kill switch know it by this name.
    role, parent_order_id
        What it is to the order that it belongs to, and which that is.
    locate_id
        The lender's word that the shares of a short sale are there.
    origin
        The software that made it; absent where the gateway itself did.
    """

    client_order_id: str
    decision_id: str
    symbol: Symbol
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    arrival_price: Decimal
    created_at: datetime
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    strategy: Annotated[str, msgspec.Meta(max_length=64)] = ""
    role: OrderRole = OrderRole.SINGLE
    parent_order_id: Identifier = ""
    locate_id: Identifier = ""
    origin: Origin | None = None

    def __post_init__(self) -> None:
        set_field(self, "quantity", positive(self.quantity, "quantity"))
        set_field(self, "arrival_price", positive(self.arrival_price, "arrival_price"))
        set_field(self, "created_at", utc(self.created_at, "created_at"))
        needed = PRICES[self.order_type]
        for name in ("limit_price", "stop_price", "trail"):
            value = getattr(self, name)
            if (value is None) is (name in needed):
                raise InvalidValue(
                    f"A {self.order_type} order {'needs a' if value is None else 'has no'} {name}.",
                    next_step=f"Give it {' and '.join(needed) or 'no price'}.",
                )
            if value is not None:
                set_field(self, name, positive(value, name))
        if (self.role in (OrderRole.SINGLE, OrderRole.PARENT)) is not (self.parent_order_id == ""):
            raise InvalidValue(
                f"A {self.role} order can't have the parent {self.parent_order_id!r}.",
                next_step="Name the parent of a child, and of no other order.",
            )


class Denial(Value, frozen=True, kw_only=True):
    """Which pre-trade control refused an order, what it measured and what it allows."""

    control: str
    reason: str
    measured: Decimal
    limit: Decimal


@message_type
class OrderUpdated(Message, frozen=True, kw_only=True):
    """An order reached `status`; `denial` says why where a control refused it."""

    order: Order
    status: OrderStatus
    reason: str = ""
    denial: Denial | None = None


@message_type
class TradingStateRequested(Message, frozen=True, kw_only=True):
    """A person asks for a trading state; who and why are required."""

    state: TradingState
    actor: str
    reason: str
    scope: Scope = EVERYTHING

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.actor.strip() or not self.reason.strip():
            raise InvalidValue(
                "A trading state is asked for without an actor or a reason.",
                next_step="Say who asks for it and why.",
            )


@message_type
class TradingStateChanged(Message, frozen=True, kw_only=True):
    """Trading is in `state` from now on; `actor` is a person, or the control that tripped."""

    state: TradingState
    actor: str
    reason: str
    scope: Scope = EVERYTHING


@message_type
class ExecutionReport(Message, frozen=True, kw_only=True):
    """A fill.

    Parameters
    ----------
    execution_id
        The venue's id of this fill; booked once.
    quantity, price
        Filled quantity, and the price paid or received (quote currency).
    fee
        Commission and exchange fees (quote currency).
    slippage_bps
        Signed cost against the order's arrival price, in basis points; positive is worse.
    """

    execution_id: str
    client_order_id: str
    decision_id: str
    symbol: Symbol
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    slippage_bps: Decimal = ZERO
    executed_at: datetime
    leaves_quantity: Decimal = ZERO

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "quantity", positive(self.quantity, "quantity"))
        set_field(self, "price", positive(self.price, "price"))
        set_field(self, "fee", canonical(self.fee))
        set_field(self, "slippage_bps", canonical(self.slippage_bps))
        set_field(self, "leaves_quantity", not_negative(self.leaves_quantity, "leaves_quantity"))
        set_field(self, "executed_at", utc(self.executed_at, "executed_at"))
