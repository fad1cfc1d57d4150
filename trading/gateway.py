"""The order path: decision → order intent → controls → venue → fills → portfolio.

One object for backtest, paper and live; only the clock and the venue differ. Each method returns
the events that it caused, in order, already applied to `book`; whoever drives the gateway records
them. An order is decided (`on_decision`) and sent (`dispatch`) in two steps, so that an intent can
be committed before a venue outside this process hears of it.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from domain.identity import client_order_id, derive_id
from domain.market import MarketData
from domain.messages import Message
from domain.metrics import Metric
from domain.money import EXACT
from domain.orders import (
    Denial,
    ExecutionReport,
    Order,
    OrderStatus,
    OrderUpdated,
    Side,
    TradingState,
    TradingStateChanged,
    TradingStateRequested,
)
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.broker import Broker
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.settings import TradingSettings
from domain.voting import Action, ConsensusResult, Outcome
from trading.book import OrderBook
from trading.controls import first_denial
from trading.controls.context import ControlContext, drawdown
from trading.fill_model import slippage_bps
from trading.order_context import Surroundings, context_of
from trading.order_state import OrderState

_SIDES: Mapping[Action, Side] = {Action.BUY: Side.BUY, Action.SELL: Side.SELL}


class Gateway:
    """Turns decisions into orders, and what the venue answers into a portfolio.

    Parameters
    ----------
    broker
        The venue.
    clock
        Tells the controls how old a price is.
    metrics
        Counts orders, denials and fills.
    settings
        Limits of the controls, starting cash.
    around
        Calendar, versions and flags that the controls ask about.
    """

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        metrics: Metrics,
        settings: TradingSettings,
        around: Surroundings | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._around = around or Surroundings()
        self.book = OrderBook(settings)

    @property
    def portfolio(self) -> Portfolio:
        """The portfolio now."""
        return self.book.ledger.snapshot()

    def recover(self, events: Iterable[Message]) -> None:
        """Rebuild the state from recorded events, oldest first."""
        for event in events:
            self._clock.observe(event.occurred_at)
            self.book.apply(event)
        self._show_state()

    async def on_market_data(self, data: MarketData) -> Sequence[Message]:
        """Let the venue fill pending orders on a bar, mark it, and tell the portfolio.

        A bar that came before, or is older than the last one of its symbol, has no effect.
        """
        self._clock.observe(data.occurred_at)
        if not self.book.market.is_news(data):
            return []
        # Indicators are floats, and the order path reads them only for what matures with this bar.
        events: list[Message] = [self._record(replace(data, technical_indicators={}))]
        for report in await self._broker.on_market_data(data):
            events += self._fill(report, data)
        for state in self.book.open_orders(data.symbol):
            events += await self._ask_status(state, data)
        events += [self._record(experience) for experience in self.book.experiences.matured(data)]
        events += self._guard(data)
        events.append(
            self._record(
                PortfolioUpdated(
                    message_id=derive_id("portfolio", data.message_id),
                    correlation_id=data.correlation_id,
                    causation_id=data.message_id,
                    occurred_at=data.occurred_at,
                    portfolio=self.portfolio,
                )
            )
        )
        self._metrics.gauge(Metric.EQUITY, float(self.book.ledger.equity))
        return events

    async def on_decision(self, decision: ConsensusResult) -> Sequence[Message]:
        """Make an order of an EXECUTE decision and ask the controls; send nothing yet.

        A decision that came before has no effect.
        """
        self._clock.observe(decision.occurred_at)
        if self.book.has_taken(decision):
            return []
        events: list[Message] = [self._record(decision)]
        side = _SIDES.get(decision.proposal.action)
        if decision.outcome is Outcome.EXECUTE and side is not None:
            order = self._intent(decision, side)
            denial = first_denial(order, self._context(order))
            status = OrderStatus.SUBMITTED if denial is None else OrderStatus.DENIED
            reason = self._shortened(decision, order) if denial is None else denial.reason
            events.append(self._update(order, status, decision, reason=reason, denial=denial))
        return events

    async def on_request(self, request: TradingStateRequested) -> Sequence[Message]:
        """Change the trading state because a person asks for it.

        A request that came before has no effect.
        """
        self._clock.observe(request.occurred_at)
        if self.book.has_taken(request):
            return []
        return [
            self._record(
                TradingStateChanged(
                    message_id=derive_id("trading-state", request.message_id),
                    correlation_id=request.correlation_id,
                    causation_id=request.message_id,
                    occurred_at=request.occurred_at,
                    state=request.state,
                    actor=request.actor,
                    reason=request.reason,
                )
            )
        ]

    async def dispatch(self) -> Sequence[Message]:
        """Send what was decided and not yet sent; safe to repeat, the venue dedupes."""
        events: list[Message] = []
        for state in self.book.open_orders():
            if state.status is OrderStatus.SUBMITTED:
                status = await self._broker.submit(state.order)
                if status in (OrderStatus.ACCEPTED, OrderStatus.REJECTED):
                    events.append(self._update(state.order, status))
        return events

    def _intent(self, decision: ConsensusResult, side: Side) -> Order:
        proposal = decision.proposal
        quantity = proposal.quantity
        if side is Side.SELL:
            # Sell at most what is there; with nothing there the controls deny the whole.
            available = EXACT.subtract(
                self.book.ledger.quantity(proposal.symbol),
                self.book.exposures.quantity(proposal.symbol, Side.SELL),
            )
            quantity = min(quantity, available) if available > 0 else quantity
        return Order(
            client_order_id=client_order_id(decision.decision_id),
            decision_id=decision.decision_id,
            symbol=proposal.symbol,
            side=side,
            quantity=quantity,
            arrival_price=proposal.reference_price,
            created_at=decision.occurred_at,
            strategy=proposal.model_version.partition("@")[0],
        )

    @staticmethod
    def _shortened(decision: ConsensusResult, order: Order) -> str:
        wanted = decision.proposal.quantity
        return "" if order.quantity == wanted else f"shortened from {wanted} to what is held"

    def _context(self, order: Order) -> ControlContext:
        return context_of(order, self.book, self._settings, self._clock.now(), around=self._around)

    def _fill(self, report: ExecutionReport, data: MarketData) -> list[Message]:
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
        events: list[Message] = [self._record(report)]
        self._metrics.count(Metric.FILLS, side=report.side.value)
        reached = self.book.orders[report.client_order_id]
        events.append(self._update(reached.order, reached.status, data))
        return events

    async def _ask_status(self, state: OrderState, data: MarketData) -> list[Message]:
        """Learn what a venue did to an order besides filling it."""
        status = await self._broker.status(state.order.client_order_id)
        if status is None or status is state.status:
            return []
        return [self._update(state.order, status, data)]

    def _guard(self, data: MarketData) -> list[Message]:
        """Go from ACTIVE to REDUCING when the drawdown reaches its limit."""
        book = self.book
        fallen = drawdown(book.ledger.equity, book.high_water_mark)
        if book.trading_state is not TradingState.ACTIVE or (
            fallen < self._settings.maximum_drawdown
        ):
            return []
        return [
            self._record(
                TradingStateChanged(
                    message_id=derive_id("trading-state", data.message_id),
                    correlation_id=data.correlation_id,
                    causation_id=data.message_id,
                    occurred_at=data.occurred_at,
                    state=TradingState.REDUCING,
                    actor="drawdown_guard",
                    reason=f"drawdown {fallen} reached {self._settings.maximum_drawdown}",
                )
            )
        ]

    def _update(
        self,
        order: Order,
        status: OrderStatus,
        cause: Message | None = None,
        *,
        reason: str = "",
        denial: Denial | None = None,
    ) -> Message:
        known = self.book.orders.get(order.client_order_id)
        update = OrderUpdated(
            message_id=derive_id(
                "order-update", order.client_order_id, status, known.fills if known else 0
            ),
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
        return self._record(update)

    def _record(self, event: Message) -> Message:
        self.book.apply(event)
        if isinstance(event, TradingStateChanged):
            self._show_state()
        return event

    def _show_state(self) -> None:
        state = tuple(TradingState).index(self.book.trading_state)
        self._metrics.gauge(Metric.TRADING_STATE, state)
