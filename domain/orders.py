"""Orders, what happened to them, and why one was denied."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.errors import InvalidValue
from domain.market import Symbol
from domain.messages import Message, Value, message_type, set_field, utc
from domain.money import ZERO, canonical, not_negative, positive


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order may be priced."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order lives."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class TradingState(StrEnum):
    """ACTIVE trades, REDUCING only shrinks exposure, HALTED only cancels."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Order(Value, frozen=True, kw_only=True):
    """An order intent: what the gateway sends and the broker dedupes by `client_order_id`."""

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

    def __post_init__(self) -> None:
        set_field(self, "quantity", positive(self.quantity, "quantity"))
        set_field(self, "arrival_price", positive(self.arrival_price, "arrival_price"))
        set_field(self, "created_at", utc(self.created_at, "created_at"))
        if self.limit_price is not None:
            set_field(self, "limit_price", positive(self.limit_price, "limit_price"))


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
