"""What became of each decision, told so that two runs can be compared trade by trade."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from domain.chain import link
from domain.money import EXACT, ZERO
from domain.orders import ExecutionReport, OrderUpdated, Side
from domain.ports.ledger import GENESIS
from domain.voting import ConsensusResult

_encode = msgspec.json.Encoder(order="sorted", decimal_format="string").encode


class Fill(NamedTuple):
    """One fill: when (UTC), how many (signed: sold is negative), at what price and fee."""

    executed_at: datetime
    quantity: Decimal
    price: Decimal
    fee: Decimal


class Trade(NamedTuple):
    """A decision, and what followed from it.

    Parameters
    ----------
    bar
        Id of the bar that it was proposed on; runs over the same market share it.
    decided
        Outcome and reason; more than one where a review followed.
    orders
        Of each order the quantity, last status and, where a control denied it, the control.
    """

    bar: str
    symbol: str
    proposed_at: datetime
    decided: tuple[tuple[str, str], ...]
    orders: tuple[tuple[Decimal, str, str], ...]
    fills: tuple[Fill, ...]

    @property
    def result(self) -> tuple[object, ...]:
        """What has to be the same in two runs; a proposal's own instant is not part of it."""
        return self.decided, self.orders, self.fills

    @property
    def filled(self) -> Decimal:
        """Quantity filled, signed."""
        return _sum(fill.quantity for fill in self.fills)

    @property
    def fee(self) -> Decimal:
        """Fees (quote currency)."""
        return _sum(fill.fee for fill in self.fills)

    @property
    def cash(self) -> Decimal:
        """What the fills brought (quote currency), fees paid; negative where they cost."""
        bought = _sum(EXACT.multiply(fill.quantity, fill.price) for fill in self.fills)
        return EXACT.subtract(bought.copy_negate(), self.fee)


def trades_of(
    decisions: Iterable[ConsensusResult],
    orders: Iterable[OrderUpdated],
    fills: Iterable[ExecutionReport],
) -> dict[str, Trade]:
    """Return bar → what became of the decision on it, in the order of the decisions."""
    last: dict[str, dict[str, OrderUpdated]] = {}
    for update in orders:
        last.setdefault(update.order.decision_id, {})[update.order.client_order_id] = update
    booked: dict[str, list[Fill]] = {}
    for report in fills:
        booked.setdefault(report.decision_id, []).append(_fill(report))
    chains: dict[str, list[ConsensusResult]] = {}
    for decision in decisions:
        chains.setdefault(decision.proposal.causation_id, []).append(decision)
    return {
        bar: Trade(
            bar=bar,
            symbol=chain[0].proposal.symbol,
            proposed_at=chain[0].proposal.occurred_at,
            decided=tuple((d.outcome.value, d.reason) for d in chain),
            orders=tuple(
                (u.order.quantity, u.status.value, u.denial.control if u.denial else "")
                for d in chain
                for u in last.get(d.decision_id, {}).values()
            ),
            fills=tuple(fill for d in chain for fill in booked.get(d.decision_id, ())),
        )
        for bar, chain in chains.items()
    }


def trade_hash(fills: Sequence[ExecutionReport]) -> str:
    """Return one hash over all fills, in order of time and symbol, whoever made them.

    Of each: symbol, time, side, quantity, price and fee. Ids are left out, so that a run by
    another path which trades the same has the same hash.
    """
    found = GENESIS
    for report in sorted(fills, key=lambda fill: (fill.executed_at, fill.symbol)):
        told = (
            report.symbol,
            report.executed_at,
            report.side,
            report.quantity,
            report.price,
            report.fee,
        )
        found = link(found, _encode(told))
    return found.hex()


def _fill(report: ExecutionReport) -> Fill:
    sold = report.side is Side.SELL
    quantity = report.quantity.copy_negate() if sold else report.quantity
    return Fill(report.executed_at, quantity, report.price, report.fee)


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total
