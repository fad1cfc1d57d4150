"""The order path: decision → order intent → controls → venue → fills → portfolio.

One object for backtest, paper and live; only the clock and the venue differ. Each method returns
the events that it caused, in order, already applied to `book`; whoever drives the gateway records
them. An order is decided (`on_decision`) and sent (`dispatch`) in two steps, so that an intent can
be committed before a venue outside this process hears of it.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.limits import LimitChangeConfirmed, LimitChangeRequested
from domain.market import MarketData
from domain.messages import Message
from domain.metrics import Metric
from domain.orders import (
    Denial,
    Order,
    OrderRole,
    OrderStatus,
    Side,
    TradingState,
    TradingStateChanged,
    TradingStateRequested,
)
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.broker import Broker
from domain.ports.clock import Clock
from domain.ports.kill_switch import KillSwitch
from domain.ports.limit_requests import LimitRequests
from domain.ports.metrics import Metrics
from domain.settings import TradingSettings
from domain.voting import ConsensusResult, Outcome
from trading.book import OrderBook
from trading.children import Planner, children
from trading.controls import first_denial, stopped_by
from trading.controls.context import drawdown
from trading.intents import SIDES, intent, shortened, unworkable
from trading.kill_switch import NeverPressed
from trading.order_context import Surroundings, context_of
from trading.protection import Protection
from trading.recorder import Recorder
from trading.venue_link import VenueLink


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
    switch, limit_requests
        What persons ask for beside the record: trading states, other limits.
    plan
        How an order is to be worked; without a plan it is sent whole.
    """

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        metrics: Metrics,
        settings: TradingSettings,
        around: Surroundings | None = None,
        *,
        switch: KillSwitch | None = None,
        limit_requests: LimitRequests | None = None,
        plan: Planner | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._around = around or Surroundings()
        self._switch = switch or NeverPressed()
        self._limit_requests = limit_requests
        self._plan = plan
        self._take_over(OrderBook(settings))

    def _take_over(self, book: OrderBook) -> None:
        self.book = book
        self._recorder = Recorder(book, self._metrics)
        self._link = VenueLink(
            self._broker,
            self._recorder,
            self._clock,
            self._metrics,
            self._settings,
            switch=self._switch,
        )
        self._protection = Protection(self._link, self._control, self._around.sessions)

    @property
    def portfolio(self) -> Portfolio:
        """The portfolio now."""
        return self.book.ledger.snapshot()

    def resume(self, book: OrderBook) -> None:
        """Go on from a state that was kept."""
        self._take_over(book)
        if book.market_time is not None:
            self._clock.observe(book.market_time)
        self._link.doubt()
        self._recorder.show_state()

    def recover(self, events: Iterable[Message]) -> None:
        """Rebuild the state from recorded events, oldest first."""
        for event in events:
            self.book.apply(event)
        if self.book.market_time is not None:
            self._clock.observe(self.book.market_time)
        self._link.doubt()
        self._recorder.show_state()

    async def on_market_data(self, data: MarketData) -> Sequence[Message]:
        """Let the venue fill pending orders on a bar, mark it, and tell the portfolio.

        A bar that came before, or is older than the last one of its symbol, has no effect.
        """
        self._clock.observe(data.occurred_at)
        if not self.book.market.is_news(data):
            return []
        # Indicators are floats, and the order path reads them only for what matures with this bar.
        events: list[Message] = [self._recorder.record(replace(data, technical_indicators={}))]
        for report in await self._broker.on_market_data(data):
            events += self._recorder.fill(report, data)
        for state in self.book.open_orders(data.symbol):
            events += await self._link.ask(state, data)
        events += [
            self._recorder.record(experience) for experience in self.book.experiences.matured(data)
        ]
        events += self._guard(data)
        events += await self._release(data, data.symbol)
        events += await self._protection.renew(data.symbol, data, self._clock.now())
        events.append(
            self._recorder.record(
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
        events: list[Message] = [self._recorder.record(decision)]
        side = SIDES.get(decision.proposal.action)
        if decision.outcome is Outcome.EXECUTE and side is not None:
            symbol, wanted = decision.proposal.symbol, decision.proposal.quantity
            if self._closes(symbol, side):
                events += await self._protection.make_room(symbol, wanted, decision)
            order = intent(decision, side, self.book)
            try:
                planned = self._planned(order, decision)
            except InvalidValue as problem:
                events.append(
                    self._recorder.update(
                        order,
                        OrderStatus.DENIED,
                        decision,
                        denial=unworkable(order, problem),
                        reason=problem.what,
                    )
                )
                return events
            if planned:
                order = replace(order, role=OrderRole.PARENT)
            events += await self._control(order, decision, shortened(decision, order))
            if planned and not self.book.orders[order.client_order_id].is_over:
                events += [
                    self._recorder.update(child, OrderStatus.INITIALIZED, decision)
                    for child in planned
                ]
                events += await self._release(decision, order.symbol)
            events += await self._protection.renew(symbol, decision, self._clock.now())
        return events

    def _closes(self, symbol: str, side: Side) -> bool:
        held = self.book.ledger.quantity(symbol)
        return held > 0 if side is Side.SELL else held < 0

    def _planned(self, order: Order, decision: ConsensusResult) -> list[Order]:
        """Return the children that an order is to be worked by; none where it leaves whole."""
        plan = self._plan(order, decision) if self._plan else None
        if plan is None:
            return []
        return children(
            order,
            plan,
            self._clock.now(),
            self._around.sessions,
            slice_seconds=self._settings.slice_seconds,
            ahead=self._settings.queue_while_closed,
        )

    async def on_order(self, order: Order, cause: Message) -> Sequence[Message]:
        """Ask the controls about an order that another worker made of what `cause` says."""
        self._clock.observe(cause.occurred_at)
        return await self._control(order, cause)

    async def on_request(self, request: TradingStateRequested) -> Sequence[Message]:
        """Change the trading state because a person asks for it; HALTED cancels what is open.

        A request that came before has no effect.
        """
        if self.book.has_taken(request):
            return []
        changed = TradingStateChanged(
            message_id=derive_id("trading-state", request.message_id),
            correlation_id=request.correlation_id,
            causation_id=request.message_id,
            occurred_at=request.occurred_at,
            state=request.state,
            actor=request.actor,
            reason=request.reason,
            scope=request.scope,
        )
        return [self._recorder.record(changed), *await self._link.cancel_halted(changed)]

    async def obey(self) -> Sequence[Message]:
        """Take in what persons ask for beside the record, and the record has not yet."""
        events = [
            event for request in self._switch.requests() for event in await self.on_request(request)
        ]
        if self._limit_requests is not None:
            for wish in self._limit_requests.requests():
                events += self.on_limit_request(wish)
        return events

    def on_limit_request(
        self, wish: LimitChangeRequested | LimitChangeConfirmed
    ) -> Sequence[Message]:
        """Change a limit because a person asks for it, or propose that to another person.

        A request that came before has no effect.
        """
        if self.book.has_taken(wish):
            return []
        return [self._recorder.record(self.book.limits.answer(wish))]

    def declare_limits(self, cause: Message) -> Sequence[Message]:
        """Put on record what the settings say of the limits, where it is not there yet."""
        declaration = self.book.limits.declaration(cause)
        return [] if declaration is None else [self._recorder.record(declaration)]

    async def dispatch(self) -> Sequence[Message]:
        """Send what was decided and not yet sent, and learn what became of what is in doubt.

        Safe to repeat: what may have been sent before is asked about, never sent again.
        """
        return await self._link.dispatch()

    async def cancel(self, client_order_id: str, cause: Message) -> Sequence[Message]:
        """Ask the venue to cancel an order; one that never left, or is over, needs no asking."""
        return await self._link.cancel(client_order_id, cause)

    async def reconcile(self) -> Sequence[Message]:
        """Compare the record with the venue: book what explains itself, stop for what does not.

        Raises
        ------
        VenueUnavailable
            If the venue does not answer; without its answer nothing may be traded.
        """
        return await self._link.reconcile()

    async def compare(self) -> Sequence[Message]:
        """Reconcile while running; a venue that does not answer lets nothing more out."""
        return await self._link.compare()

    async def _control(self, order: Order, cause: Message, reason: str = "") -> list[Message]:
        """Ask the controls about an order, record what they say, and stop what must stop."""
        context = context_of(
            order,
            self.book,
            self.book.limits.in_force,
            self._clock.now(),
            around=self._around,
            states=self._link.states(),
            connected=self._link.connected,
        )
        denial = first_denial(order, context)
        if denial is None:
            return [self._recorder.update(order, OrderStatus.SUBMITTED, cause, reason=reason)]
        events: list[Message] = [
            self._recorder.update(
                order, OrderStatus.DENIED, cause, reason=denial.reason, denial=denial
            )
        ]
        if (scope := stopped_by(denial, order)) is not None:
            halted = self._recorder.change_state(cause, TradingState.HALTED, denial, scope)
            events += [halted, *await self._link.cancel_halted(halted)]
        return events

    async def _release(self, cause: Message, symbol: str) -> list[Message]:
        """Ask the controls about the planned children whose time has come; end finished parents."""
        events: list[Message] = []
        now = self._clock.now()
        for state in self.book.open_orders(symbol):
            if state.status is OrderStatus.INITIALIZED and state.order.created_at <= now:
                events += await self._control(state.order, cause)
        for parent in self.book.open_orders(symbol) if self._plan else ():
            identity = parent.order.client_order_id
            if parent.order.role is OrderRole.PARENT and not self.book.has_working(identity):
                reason = "its children have ended"
                ended = OrderStatus.CANCELLED
                events.append(self._recorder.update(parent.order, ended, cause, reason=reason))
        return events

    def _guard(self, data: MarketData) -> list[Message]:
        """Go from ACTIVE to REDUCING when the drawdown reaches its limit."""
        book = self.book
        limit = book.limits.in_force.maximum_drawdown
        fallen = drawdown(book.ledger.equity, book.high_water_mark)
        if book.trading_state is not TradingState.ACTIVE or fallen < limit:
            return []
        reached = f"drawdown {fallen} reached {limit}"
        tripped = Denial(control="drawdown_guard", reason=reached, measured=fallen, limit=limit)
        return [self._recorder.change_state(data, TradingState.REDUCING, tripped)]
