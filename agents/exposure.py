"""What a portfolio is exposed to, before and after a trade, and what trading costs."""

from math import sqrt

from domain.portfolio import Portfolio
from domain.settings import TradingSettings
from domain.voting import Action, TradingProposal

BASIS_POINTS = 1e4


def weights_before(portfolio: Portfolio) -> dict[str, float]:
    """Return symbol → position value as a fraction of equity; empty without equity."""
    equity = float(portfolio.equity)
    if equity <= 0:
        return {}
    return {p.symbol: float(p.market_value) / equity for p in portfolio.positions if p.quantity}


def weights_after(proposal: TradingProposal) -> dict[str, float]:
    """Return the weights if the proposal were filled whole at its reference price."""
    weights = weights_before(proposal.portfolio)
    change = trade_fraction(proposal)
    weights[proposal.symbol] = weights.get(proposal.symbol, 0.0) + change
    return {symbol: weight for symbol, weight in weights.items() if abs(weight) > 1e-12}


def trade_fraction(proposal: TradingProposal) -> float:
    """Return the trade's signed value as a fraction of equity."""
    value = float(proposal.quantity * proposal.reference_price)
    sign = {Action.BUY: 1.0, Action.SELL: -1.0, Action.HOLD: 0.0}[proposal.action]
    equity = float(proposal.portfolio.equity)
    return sign * value / equity if equity > 0 else 0.0


def cost_bps(
    limits: TradingSettings, *, price: float, daily_volatility: float, participation: float
) -> float:
    """Return the expected one-way cost in basis points of the trade's value.

    Half the spread, the fee, and square-root impact in daily volatilities.
    """
    impact = float(limits.impact_coefficient) * daily_volatility * sqrt(max(participation, 0.0))
    fee = float(limits.fee_per_share) / price
    return float(limits.half_spread_bps) + BASIS_POINTS * (fee + impact)
