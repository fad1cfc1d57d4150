"""The paper broker: fills orders on bars, claiming no more than each bar shows.

* An order fills on the first bar that closed after the order was made, from that bar's open on;
  never on the bar it was decided on.
* Fill price, quantity and fee come from `trading.fill_model`. The fills of one bar together take
  at most `maximum_participation_rate` of its volume; earlier orders come first.
* DAY: what is left when the session ends expires; without a calendar every bar stands for a
  session. GTC: the rest waits for later bars. IOC: the rest is cancelled after the open; FOK: all
  at the open or nothing; AT_CLOSE: in the session's last bar, at its close.
* A stop is held against the level that stood before the bar (`trading.stops`). The two ways out
  of a bracket fill no more than one of them together; where one bar reaches both, the stop does.
* One client order id is one order, however often it is sent. Execution ids derive from it.

The venue keeps no file: `restore` brings it back from the order path's own record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from domain.errors import QuorumError
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import EXACT, ZERO
from domain.orders import (
    RESTING_EXITS,
    ExecutionReport,
    Order,
    OrderRole,
    OrderStatus,
    Side,
    TimeInForce,
)
from domain.sessions import Sessions
from domain.settings import TradingSettings
from trading import fill_model
from trading.market import Market
from trading.order_state import OrderState


class UnknownOrder(QuorumError):
    """The venue was asked about an order that it never saw."""


_AT_BAR_END = {TimeInForce.IOC: OrderStatus.CANCELLED, TimeInForce.FOK: OrderStatus.CANCELLED}
_AT_SESSION_END = {
    **_AT_BAR_END,
    TimeInForce.DAY: OrderStatus.EXPIRED,
    TimeInForce.AT_CLOSE: OrderStatus.EXPIRED,
}


class PaperVenue:
    """A simulated venue (implements `domain.ports.broker.Broker`).

    Parameters
    ----------
    settings
        Spread, impact, fees and the volume cap.
    sessions
        When sessions end; None where every bar stands for one.
    """

    def __init__(self, settings: TradingSettings, sessions: Sessions | None = None) -> None:
        self._settings = settings
        self._sessions = sessions
        self._market = Market()
        self._open: dict[str, dict[str, OrderState]] = {}
        self._statuses: dict[str, OrderStatus] = {}
        self._positions: dict[str, Decimal] = {}
        self._filled_by_exits: dict[tuple[str, datetime], Decimal] = {}
        self._reports: dict[str, list[ExecutionReport]] = {}

    def restore(
        self, orders: Iterable[OrderState], positions: Mapping[str, Decimal], market: Market
    ) -> None:
        """Take over recorded orders (of any status), positions and market data.

        Orders that were recorded as submitted count as accepted: the venue would have taken them.
        What was still pending was not done.
        """
        self._market = market.copy()
        self._positions = dict(positions)
        self._open.clear()
        self._statuses.clear()
        self._filled_by_exits.clear()
        self._reports.clear()
        for known in orders:
            if known.order.role is OrderRole.PARENT or known.status is OrderStatus.INITIALIZED:
                continue  # which never left
            self._statuses[known.order.client_order_id] = known.status
            self._count_exit(known.order, known.filled)
            if not known.is_over:
                self._accept(replace(known))

    async def submit(self, order: Order) -> OrderStatus:
        """Accept an order, or return its status if its client order id is known."""
        if (known := self._statuses.get(order.client_order_id)) is not None:
            return known
        self._accept(OrderState(order, OrderStatus.SUBMITTED))
        return OrderStatus.ACCEPTED

    async def cancel(self, client_order_id: str) -> OrderStatus:
        """Cancel what is still open of an order and return its status.

        Raises
        ------
        UnknownOrder
            If no such order was ever sent.
        """
        if (state := self._resting(client_order_id)) is not None:
            self._finish(state, OrderStatus.CANCELLED)
        return self._known_status(client_order_id)

    async def replace(self, order: Order) -> OrderStatus:
        """Give a resting order new quantity and prices and return its status.

        Raises
        ------
        UnknownOrder
            If no such order was ever sent.
        trading.order_state.IllegalTransition
            If it can't take these terms.
        """
        if (state := self._resting(order.client_order_id)) is not None:
            state.ask_replacement(order)
            state.become(state.working, order)
        return self._known_status(order.client_order_id)

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """Return an order's status, or None if it was never sent."""
        return self._statuses.get(client_order_id)

    async def executions(self, client_order_id: str) -> Sequence[ExecutionReport]:
        """Return the fills of an order, oldest first; those before `restore` are on record."""
        return tuple(self._reports.get(client_order_id, ()))

    async def open_orders(self) -> Sequence[Order]:
        """Return orders that can still fill, in the order they came, by symbol."""
        return [s.order for symbol in sorted(self._open) for s in self._open[symbol].values()]

    async def positions(self) -> dict[str, Decimal]:
        """Return symbol → signed quantity (shares) of everything held."""
        return {s: quantity for s, quantity in sorted(self._positions.items()) if quantity}

    async def on_market_data(self, data: MarketData) -> Sequence[ExecutionReport]:
        """Fill what `data` allows, in the order the orders came; end DAY, IOC and FOK orders."""
        if not self._market.is_news(data):
            return []
        due = [
            state
            for state in self._open.get(data.symbol, {}).values()
            if state.order.created_at < data.observed_at
        ]
        reports = self._match(due, data) if due else []
        self._market.observe(data)
        return reports

    def _match(self, due: Sequence[OrderState], data: MarketData) -> list[ExecutionReport]:
        """Give the bar's volume to the orders that are due, first come first served."""
        volatility = self._market.volatility(data.symbol)
        available = fill_model.fillable(data, self._settings)
        ends = self._sessions is None or not self._sessions.is_open(data.observed_at)
        reports: list[ExecutionReport] = []
        for state in sorted(due, key=lambda state: state.order.role is OrderRole.TAKE_PROFIT):
            if state.order.time_in_force is TimeInForce.AT_CLOSE and not ends:
                continue
            filled = fill_model.fill(
                state.order,
                self._to_fill(state),
                data,
                available=available,
                volatility=volatility,
                settings=self._settings,
                stop=state.stop,
            )
            if filled is not None:
                available = EXACT.subtract(available, filled.quantity)
                reports.append(self._book(state, filled, data))
            state.observe(data)
            ended = (_AT_SESSION_END if ends else _AT_BAR_END).get(state.order.time_in_force)
            if state.is_over:
                self._forget(state)
            elif ended is not None:
                self._finish(state, ended)
        for state in due:
            if not state.is_over and not self._to_fill(state):
                self._finish(state, OrderStatus.CANCELLED)  # the other way out has filled
        return reports

    def _to_fill(self, state: OrderState) -> Decimal:
        """Return what may still fill of an order, the other way out of its bracket counted in."""
        if state.order.role not in RESTING_EXITS:
            return state.leaves
        filled = self._filled_by_exits.get(_pair(state.order), ZERO)
        return EXACT.subtract(state.order.quantity, filled)

    def _resting(self, client_order_id: str) -> OrderState | None:
        for resting in self._open.values():
            if (state := resting.get(client_order_id)) is not None:
                return state
        return None

    def _known_status(self, client_order_id: str) -> OrderStatus:
        if (status := self._statuses.get(client_order_id)) is not None:
            return status
        raise UnknownOrder(
            f"The paper venue has no order {client_order_id}.",
            next_step="Ask for the open orders and take one of those.",
        )

    def _accept(self, state: OrderState) -> None:
        if state.status is not state.working:
            state.become(state.working, state.order)
        order = state.order
        self._open.setdefault(order.symbol, {})[order.client_order_id] = state
        self._statuses[order.client_order_id] = state.status

    def _book(
        self, state: OrderState, filled: fill_model.SimulatedFill, bar: MarketData
    ) -> ExecutionReport:
        order = state.order
        state.fill(filled.quantity)
        self._statuses[order.client_order_id] = state.status
        self._count_exit(order, filled.quantity)
        change = filled.quantity if order.side is Side.BUY else filled.quantity.copy_negate()
        held = self._positions.get(order.symbol, ZERO)
        self._positions[order.symbol] = EXACT.add(held, change)
        execution_id = derive_id("execution", order.client_order_id, state.fills)
        report = ExecutionReport(
            message_id=execution_id,
            correlation_id=bar.correlation_id,
            causation_id=bar.message_id,
            occurred_at=bar.observed_at,
            execution_id=execution_id,
            client_order_id=order.client_order_id,
            decision_id=order.decision_id,
            symbol=order.symbol,
            side=order.side,
            quantity=filled.quantity,
            price=filled.price,
            fee=filled.fee,
            slippage_bps=fill_model.slippage_bps(order.side, filled.price, order.arrival_price),
            executed_at=bar.observed_at,
            leaves_quantity=state.leaves,
        )
        self._reports.setdefault(order.client_order_id, []).append(report)
        return report

    def _count_exit(self, order: Order, quantity: Decimal) -> None:
        if order.role in RESTING_EXITS:
            before = self._filled_by_exits.get(_pair(order), ZERO)
            self._filled_by_exits[_pair(order)] = EXACT.add(before, quantity)

    def _finish(self, state: OrderState, status: OrderStatus) -> None:
        state.become(status)
        self._forget(state)

    def _forget(self, state: OrderState) -> None:
        order = state.order
        self._statuses[order.client_order_id] = state.status
        del self._open[order.symbol][order.client_order_id]


def _pair(order: Order) -> tuple[str, datetime]:
    """Return what the two ways out of one bracket have in common."""
    return order.parent_order_id, order.created_at
