"""The only way into the order path's record: make an event, apply it to the book, count it."""

from msgspec.structs import replace

from domain.identity import derive_id
from domain.limits import LimitChangeUpdated
from domain.messages import Message
from domain.metrics import Metric
from domain.orders import (
    EVERYTHING,
    Denial,
    ExecutionReport,
    Order,
    OrderStatus,
    OrderUpdated,
    Scope,
    TradingState,
    TradingStateChanged,
)
from domain.ports.metrics import Metrics
from trading.book import OrderBook
from trading.fill_model import slippage_bps
from trading.order_state import OrderState


class Recorder:
    """Makes the events of the order path and applies them to the book.

    Parameters
    ----------
    book
        What the events are folded into.
    metrics
        Counts orders, denials and fills.
    """

    def __init__(self, book: OrderBook, metrics: Metrics) -> None:
        self.book = book
        self._metrics = metrics

    def record(self, event: Message) -> Message:
        """Apply an event to the book and return it."""
        self.book.apply(event)
        if isinstance(event, TradingStateChanged):
            self.show_state()
        if isinstance(event, LimitChangeUpdated):
            self._metrics.count(Metric.LIMIT_CHANGES, status=event.status.value)
        return event

    def show_state(self) -> None:
        """Tell the metrics which state all trading is in."""
        state = tuple(TradingState).index(self.book.trading_state)
        self._metrics.gauge(Metric.TRADING_STATE, state)

    def update(
        self,
        order: Order,
        status: OrderStatus,
        cause: Message | None = None,
        *,
        reason: str = "",
        denial: Denial | None = None,
    ) -> Message:
        """Record that an order reached a status, caused by a message or by nobody's."""
        known = self.book.orders.get(order.client_order_id)
        update = OrderUpdated(
            message_id=derive_id("order-update", order.client_order_id, status, *_step(known)),
            correlation_id=self.book.correlation_id(order.client_order_id)
            or (cause.correlation_id if cause else ""),
            causation_id=cause.message_id if cause else order.decision_id,
            occurred_at=cause.occurred_at if cause else order.created_at,
            order=order,
            status=status,
            reason=reason,
            denial=denial,
        )
        self._metrics.count(Metric.ORDERS, status=status.value)
        if denial is not None:
            self._metrics.count(Metric.DENIALS, control=denial.control)
        return self.record(update)

    def fill(self, report: ExecutionReport, cause: Message | None = None) -> list[Message]:
        """Book a venue's fill, completed with what only the order path knows, once."""
        if self.book.ledger.has(report.execution_id):
            return []
        state = self.book.orders.get(report.client_order_id)
        if state is not None:
            order = state.order
            report = replace(
                report,
                correlation_id=self.book.correlation_id(order.client_order_id),
                decision_id=order.decision_id,
                slippage_bps=slippage_bps(order.side, report.price, order.arrival_price),
            )
        events: list[Message] = [self.record(report)]
        self._metrics.count(Metric.FILLS, side=report.side.value)
        reached = self.book.orders[report.client_order_id]
        events.append(self.update(reached.order, reached.status, cause))
        return events

    def change_state(
        self, cause: Message, state: TradingState, tripped: Denial, scope: Scope = EVERYTHING
    ) -> TradingStateChanged:
        """Change a trading state because a control tripped."""
        named = (scope.kind, scope.name) if scope.name else ()
        changed = TradingStateChanged(
            message_id=derive_id("trading-state", cause.message_id, *named),
            correlation_id=cause.correlation_id,
            causation_id=cause.message_id,
            occurred_at=cause.occurred_at,
            state=state,
            actor=tripped.control,
            reason=tripped.reason,
            scope=scope,
        )
        self.record(changed)
        return changed


def _step(known: OrderState | None) -> tuple[int, ...]:
    """Return what tells apart an order's updates to the same status."""
    if known is None:
        return (0,)
    return (known.fills, known.answers) if known.answers else (known.fills,)
