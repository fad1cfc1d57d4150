"""The portfolio ledger: cash, positions and reservations, exact to the billionth of a dollar.

What is always true, after any sequence of fills, marks and reservations:

* equity = cash + Σ market value;
* equity = starting cash + realised + unrealised P&L - fees;
* replaying the same fills gives the same ledger, whatever the order of the symbols.

Positions are kept at total cost rather than at an average price, because an average has to be
rounded and would lose the second equality; the average is derived where it is shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

import msgspec

from domain.errors import InvalidValue
from domain.money import EXACT, ZERO, canonical, notional, ratio
from domain.orders import ExecutionReport, Side
from domain.portfolio import Portfolio, Position

_add = EXACT.add
_subtract = EXACT.subtract


@dataclass(slots=True)
class Holding:
    """One symbol: signed quantity (shares), signed total cost and realised P&L (USD)."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO

    def trade(self, quantity: Decimal, price: Decimal, amount: Decimal) -> None:
        """Book a signed `quantity` at `price`; `amount` is its signed value (USD), rounded once.

        What reduces the holding realises P&L at average cost; what is beyond zero opens anew.
        """
        if not self.quantity or (self.quantity > 0) == (quantity > 0):
            self.quantity = _add(self.quantity, quantity)
            self.cost = _add(self.cost, amount)
            return
        held, traded = self.quantity.copy_abs(), quantity.copy_abs()
        closed_amount = amount if traded <= held else notional(price, held.copy_sign(quantity))
        closed_cost = (
            self.cost
            if traded >= held
            else canonical(EXACT.divide(EXACT.multiply(self.cost, traded), held))
        )
        # Closing a long has a negative amount: proceeds are its opposite. The same for a short.
        self.realized_pnl = _subtract(self.realized_pnl, _add(closed_amount, closed_cost))
        self.quantity = _add(self.quantity, quantity)
        self.cost = _add(_subtract(self.cost, closed_cost), _subtract(amount, closed_amount))


class PortfolioState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a `PortfolioLedger` knows."""

    starting_cash: Decimal
    cash: Decimal
    fees: Decimal
    holdings: dict[str, Holding]
    marks: dict[str, Decimal]
    reserved: dict[str, Decimal]
    executions: list[str]


class PortfolioLedger:
    """Cash, holdings, marks and reserved cash (USD; quantities in shares).

    Parameters
    ----------
    starting_cash
        Cash before the first fill (USD).
    """

    def __init__(self, starting_cash: Decimal) -> None:
        self.starting_cash = canonical(starting_cash)
        self.cash = self.starting_cash
        self.fees = ZERO
        self._holdings: dict[str, Holding] = {}
        self._marks: dict[str, Decimal] = {}
        self._reserved: dict[str, Decimal] = {}
        # Totals are kept up, not summed: all parts are whole billionths, so both are the same.
        self._reserved_total = ZERO
        self._changed: dict[str, Decimal] = {}
        self._values: dict[str, Decimal] = {}
        self._net = ZERO
        self._gross = ZERO
        self._executions: set[str] = set()

    @classmethod
    def of(cls, state: PortfolioState) -> Self:
        """Return the ledger that `state` was asked of."""
        ledger = cls(state.starting_cash)
        ledger.cash, ledger.fees = state.cash, state.fees
        ledger._holdings = dict(state.holdings)
        ledger._marks = dict(state.marks)
        ledger._reserved = dict(state.reserved)
        ledger._executions = set(state.executions)
        ledger._reserved_total = _total(state.reserved.values())
        ledger._values = dict.fromkeys(state.holdings, ZERO)
        for symbol in state.holdings:
            ledger._revalue(symbol)
        return ledger

    def state(self) -> PortfolioState:
        """Return all that it knows."""
        return PortfolioState(
            starting_cash=self.starting_cash,
            cash=self.cash,
            fees=self.fees,
            holdings=self._holdings,
            marks=self._marks,
            reserved=self._reserved,
            executions=sorted(self._executions),
        )

    def apply(self, report: ExecutionReport) -> bool:
        """Book a fill; returns False, and changes nothing, if it was booked before."""
        if report.execution_id in self._executions:
            return False
        self._executions.add(report.execution_id)
        value = notional(report.price, report.quantity)
        buys = report.side is Side.BUY
        amount = value if buys else value.copy_negate()
        quantity = report.quantity if buys else report.quantity.copy_negate()
        self.cash = _subtract(_subtract(self.cash, amount), report.fee)
        self.fees = _add(self.fees, report.fee)
        self._holdings.setdefault(report.symbol, Holding()).trade(quantity, report.price, amount)
        self._marks.setdefault(report.symbol, report.price)
        self._revalue(report.symbol)
        return True

    def has(self, execution_id: str) -> bool:
        """Whether this fill was booked."""
        return execution_id in self._executions

    def mark(self, symbol: str, price: Decimal) -> None:
        """Value `symbol` at `price` (USD) from now on."""
        self._marks[symbol] = price
        self._revalue(symbol)

    def reserve(self, client_order_id: str, amount: Decimal) -> None:
        """Hold exactly `amount` of cash (USD) for an order; 0 releases it.

        Raises
        ------
        InvalidValue
            If the amount is negative.
        """
        if amount < 0:
            raise InvalidValue(
                f"A reservation of {amount} USD is negative.",
                next_step="Reserve zero or a positive amount.",
            )
        before = self._reserved.pop(client_order_id, ZERO)
        if amount:
            self._reserved[client_order_id] = amount
        if amount != before:
            self._reserved_total = _add(self._reserved_total, _subtract(amount, before))
            self._changed[client_order_id] = amount

    @property
    def reservations(self) -> Mapping[str, Decimal]:
        """Client order id → cash held for it (USD)."""
        return self._reserved

    def take_changed(self) -> dict[str, Decimal]:
        """Return the reservations that changed since this was last asked; 0 where one ended."""
        changed, self._changed = self._changed, {}
        return changed

    @property
    def reserved(self) -> Decimal:
        """Cash held for orders that may still fill (USD)."""
        return canonical(self._reserved_total)

    @property
    def buying_power(self) -> Decimal:
        """Cash that no order has reserved (USD)."""
        return _subtract(self.cash, self.reserved)

    @property
    def equity(self) -> Decimal:
        """Cash plus positions at the mark (USD)."""
        return canonical(_add(self.cash, self._net))

    @property
    def gross_exposure(self) -> Decimal:
        """Sum of the absolute position values (USD)."""
        return canonical(self._gross)

    @property
    def realized_pnl(self) -> Decimal:
        """Profit of everything closed, before fees (USD)."""
        return _total(holding.realized_pnl for holding in self._holdings.values())

    @property
    def unrealized_pnl(self) -> Decimal:
        """Profit of everything held at the mark over its cost (USD)."""
        cost = _total(holding.cost for holding in self._holdings.values())
        return _subtract(_subtract(self.equity, self.cash), cost)

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed quantity held (shares)."""
        holding = self._holdings.get(symbol)
        return holding.quantity if holding else ZERO

    def market_value(self, symbol: str) -> Decimal:
        """Return the signed value held at the mark (USD)."""
        return self._values.get(symbol, ZERO)

    def realized(self, symbol: str) -> Decimal:
        """Return the profit of what was closed of a symbol, before fees (USD)."""
        holding = self._holdings.get(symbol)
        return holding.realized_pnl if holding else ZERO

    def closing_cost(self, report: ExecutionReport) -> Decimal:
        """Return what the part of the holding that a fill would close has cost (USD)."""
        holding = self._holdings.get(report.symbol)
        if (
            holding is None
            or not holding.quantity
            or (holding.quantity > 0) is (report.side is Side.BUY)
        ):
            return ZERO
        held = holding.quantity.copy_abs()
        closed = min(held, report.quantity)
        return canonical(EXACT.divide(EXACT.multiply(holding.cost.copy_abs(), closed), held))

    def _revalue(self, symbol: str) -> None:
        quantity = self.quantity(symbol)
        value = notional(self._marks[symbol], quantity) if quantity else ZERO
        before = self._values.get(symbol, ZERO)
        if value == before:
            return
        self._values[symbol] = value
        self._net = _add(self._net, _subtract(value, before))
        self._gross = _add(self._gross, _subtract(value.copy_abs(), before.copy_abs()))

    def snapshot(self) -> Portfolio:
        """Return the portfolio as a value; closed positions are left out."""
        return Portfolio(
            cash=self.cash,
            reserved=self.reserved,
            positions=tuple(
                Position(
                    symbol=symbol,
                    quantity=holding.quantity,
                    average_price=ratio(holding.cost, holding.quantity),
                    mark_price=self._marks[symbol],
                    realized_pnl=holding.realized_pnl,
                )
                for symbol, holding in self._holdings.items()
                if holding.quantity
            ),
        )

    def quantities(self) -> dict[str, Decimal]:
        """Return symbol → signed quantity (shares) of every open position."""
        return {s: h.quantity for s, h in sorted(self._holdings.items()) if h.quantity}


def _total(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = _add(total, amount)
    return canonical(total)
