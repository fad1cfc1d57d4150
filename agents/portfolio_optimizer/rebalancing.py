"""From the weights held to the weights wanted, as far as it is worth its cost, in whole lots."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

import numpy as np

from agents.portfolio_optimizer.estimation import checked_covariance
from agents.price_history import Floats
from domain.errors import InvalidValue
from domain.money import ZERO

_SWEEPS = 10_000
_CONVERGED = 1e-13


@dataclass(frozen=True)
class TaxLot:
    """Shares bought at one price; `quantity` above 0."""

    quantity: Decimal
    price: Decimal


@dataclass(frozen=True)
class Holding:
    """An asset in a portfolio: what is held of it, and what it takes to trade it.

    Parameters
    ----------
    quantity, price
        Units held (negative: short) and the price of one.
    lot
        Smallest number of units that trades.
    cost
        Of trading, as a fraction of the value traded.
    tax_lots
        Lots that are held; where given, sales take the one with the largest cost basis first.
    """

    symbol: str
    quantity: Decimal
    price: Decimal
    lot: Decimal = Decimal(1)
    cost: float = 0.0
    tax_lots: tuple[TaxLot, ...] = ()


class Trade(NamedTuple):
    """Units to buy (above 0) or to sell, their cost, the gain that a sale realises, and why."""

    symbol: str
    quantity: Decimal
    value: Decimal
    cost: Decimal
    realised_gain: Decimal
    reason: str


class Rebalancing(NamedTuple):
    """Trades, those that raise cash first, with the cash and the weights after them."""

    trades: tuple[Trade, ...]
    cash: Decimal
    weights: Floats
    turnover: float


def no_trade_region(
    held: Floats, target: Floats, covariance: Floats, costs: Floats, benefit: float
) -> Floats:
    """Return the weights that it pays to trade to.

    Minimises ½ · benefit · (w - target)'Σ(w - target) + Σ costs |w - held|: who is near enough
    to the target trades nothing, who is not trades to the region's edge and no further (Davis &
    Norman, 1990; Dybvig & Pezzo, "Mean-variance portfolio rebalancing with transaction costs",
    2020). By exact minimisation along one asset after another, which converges, since the costs
    are separable (Tseng, 2001).

    Parameters
    ----------
    costs
        Per unit traded, as fractions, one per asset.
    benefit
        Risk aversion times the periods until the next review.

    Raises
    ------
    InvalidValue
        If an input is not finite, a cost is below 0, or `benefit` is not above 0.
    """
    sigma = benefit * checked_covariance(covariance, len(held))
    if not benefit > 0.0 or not (costs >= 0.0).all():
        raise InvalidValue(
            "A no-trade region needs a benefit above 0 and costs of at least 0.",
            next_step="Give a risk aversion and a time until the next review.",
        )
    if not (np.isfinite(held).all() and np.isfinite(target).all()):
        raise InvalidValue("Weights must be finite.", next_step="Give 0 for what isn't held.")
    weights = np.array(held, dtype=np.float64)
    gradient = sigma @ (weights - target)
    for _ in range(_SWEEPS):
        moved = 0.0
        for i in range(len(weights)):
            curve = sigma[i, i]
            best = weights[i] - gradient[i] / curve
            reach = costs[i] / curve
            new = held[i] + np.sign(best - held[i]) * max(abs(best - held[i]) - reach, 0.0)
            step = float(new - weights[i])
            if step != 0.0:
                weights[i] = new
                gradient += step * sigma[:, i]
                moved = max(moved, abs(step))
        if moved <= _CONVERGED:
            break
    return weights


def rebalance(
    holdings: tuple[Holding, ...],
    cash: Decimal,
    target: Floats,
    covariance: Floats,
    *,
    benefit: float,
    cash_reserve: Decimal = ZERO,
) -> Rebalancing:
    """Return the trades toward `target` that are worth their cost, in whole lots.

    Quantities are rounded toward what is held. Where the cash, less `cash_reserve`, does not pay
    for all purchases, each is cut in proportion; what costs is paid from cash.

    Parameters
    ----------
    target
        Wanted weights of equity (cash and holdings at their prices).
    covariance, benefit
        As `no_trade_region`.

    Raises
    ------
    InvalidValue
        If there is no equity, a price or lot is not above 0, lots don't sum to the holding, or as
        `no_trade_region`.
    """
    _check(holdings)
    equity = cash + sum((h.quantity * h.price for h in holdings), ZERO)
    if equity <= ZERO:
        raise InvalidValue("A portfolio without equity can't be rebalanced.", next_step="Fund it.")
    held = np.array([float(h.quantity * h.price / equity) for h in holdings])
    costs = np.array([h.cost for h in holdings])
    wanted = no_trade_region(held, target, covariance, costs, benefit)
    changes = [
        _lots((Decimal(float(w)) * equity / h.price) - h.quantity, h.lot) if w != before else ZERO
        for h, w, before in zip(holdings, wanted, held, strict=True)
    ]
    changes = _affordable(holdings, changes, cash - cash_reserve)
    trades = [
        _trade(h, change, aim)
        for h, change, aim in zip(holdings, changes, target, strict=True)
        if change
    ]
    trades.sort(key=lambda trade: trade.quantity > ZERO)
    left = cash - sum((t.value + t.cost for t in trades), ZERO)
    after_equity = equity - sum((t.cost for t in trades), ZERO)
    weights = np.array(
        [
            float((h.quantity + change) * h.price / after_equity)
            for h, change in zip(holdings, changes, strict=True)
        ]
    )
    turnover = float(sum((abs(t.value) for t in trades), ZERO) / equity)
    return Rebalancing(tuple(trades), left, weights, turnover)


def _check(holdings: tuple[Holding, ...]) -> None:
    for held in holdings:
        owned = sum((lot.quantity for lot in held.tax_lots), ZERO)
        if held.price <= ZERO or held.lot <= ZERO or held.cost < 0.0:
            raise InvalidValue(
                f"{held.symbol} needs a price and a lot above 0, and a cost of at least 0.",
                next_step="Leave out what can't be traded.",
            )
        if held.tax_lots and owned != held.quantity:
            raise InvalidValue(
                f"Tax lots of {held.symbol} sum to {owned}, but {held.quantity} are held.",
                next_step="Give all lots, or none.",
            )


def _lots(quantity: Decimal, lot: Decimal) -> Decimal:
    return (quantity / lot).to_integral_value(rounding=ROUND_DOWN) * lot


def _affordable(
    holdings: tuple[Holding, ...], changes: list[Decimal], cash: Decimal
) -> list[Decimal]:
    """Cut purchases in proportion to what cash and sales pay for."""

    def paid(held: Holding, change: Decimal) -> Decimal:
        return change * held.price + abs(change) * held.price * Decimal(str(held.cost))

    flows = [paid(h, c) for h, c in zip(holdings, changes, strict=True)]
    spent = sum((flow for flow in flows if flow > ZERO), ZERO)
    raised = -sum((flow for flow in flows if flow < ZERO), ZERO)
    available = max(cash + raised, ZERO)
    if spent <= available:
        return changes
    return [
        _lots(change * available / spent, held.lot) if change > ZERO else change
        for held, change in zip(holdings, changes, strict=True)
    ]


def _trade(held: Holding, change: Decimal, target: float) -> Trade:
    value = change * held.price
    return Trade(
        symbol=held.symbol,
        quantity=change,
        value=value,
        cost=abs(value) * Decimal(str(held.cost)),
        realised_gain=_realised(held, -change) if change < ZERO else ZERO,
        reason=f"{'buy' if change > ZERO else 'sell'} toward {target:.1%}",
    )


def _realised(held: Holding, sold: Decimal) -> Decimal:
    """Return the gain of a sale that takes the dearest lots first, so that least is taxed."""
    gain = ZERO
    for lot in sorted(held.tax_lots, key=lambda lot: lot.price, reverse=True):
        part = min(sold, lot.quantity)
        gain += part * (held.price - lot.price)
        sold -= part
    return gain
