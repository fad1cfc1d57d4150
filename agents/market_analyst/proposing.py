"""When and how much the Market Analyst proposes to trade."""

from datetime import datetime
from math import exp, floor, sqrt
from typing import NamedTuple

from agents.indicators import FEATURE_NAMES
from agents.market_analyst.judgement import Outlook, described, outlook
from agents.market_analyst.patterns import candlesticks
from agents.market_analyst.regime import volatility_regime
from agents.market_view import MarketView
from agents.model import PLACES, Model
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import canonical
from domain.portfolio import Portfolio
from domain.settings import TradingSettings
from domain.voting import Action, TradingProposal, confidence_ppm

#: A position is sized so that it alone moves the portfolio by this much a year (volatility).
POSITION_VOLATILITY = 0.04
#: Share of the position and exposure limits that is used: a rise in price may not breach them.
LIMIT_SHARE = 0.7
#: Smallest change of a position worth proposing, as a fraction of equity.
SMALLEST_CHANGE = 0.02
#: A weak outlook reduces a position to this share of its size; one this much weaker closes it.
REDUCED_SHARE = 0.5
CLOSING_MULTIPLE = 2.0
#: Share of a position's size that one purchase may add.
BUYING_STEP = 1.0 / 3.0
_TRADING_DAYS = 252


def target_fraction(horizon_volatility: float, horizon_days: int, limits: TradingSettings) -> float:
    """Return the fraction of equity at which a position carries its share of volatility."""
    annual = horizon_volatility * sqrt(_TRADING_DAYS / horizon_days)
    return min(POSITION_VOLATILITY / annual, LIMIT_SHARE * float(limits.maximum_position_fraction))


class _Wish(NamedTuple):
    """What an outlook asks for, and how strongly: 1, or 2 where a holding is to be closed."""

    action: Action
    strength: int


def _wish(model: Model, view: Outlook) -> _Wish:
    constants = model.specification.constants
    if view.edge(1) >= constants["buy_at_edge"]:
        return _Wish(Action.BUY, 1)
    sale = view.edge(-1) / constants["sell_at_edge"]
    return _Wish(Action.SELL, 2 if sale >= CLOSING_MULTIPLE else 1) if sale >= 1.0 else _NOTHING


_NOTHING = _Wish(Action.HOLD, 0)


def _quantity(
    wish: _Wish,
    *,
    fraction: float,
    price: float,
    portfolio: Portfolio,
    symbol: str,
    limits: TradingSettings,
) -> int:
    """Return whole shares to trade; 0 where the change isn't worth a trade."""
    equity, held = float(portfolio.equity), float(portfolio.quantity(symbol))
    smallest = SMALLEST_CHANGE * equity
    if wish.action is Action.SELL:
        kept = REDUCED_SHARE * fraction * equity / price if wish.strength == 1 else 0.0
        sold = floor(max(held - kept, 0.0))
        return sold if sold * price >= smallest or (wish.strength == 2 and sold) else 0
    gross = sum(abs(float(position.market_value)) for position in portfolio.positions)
    value = min(
        fraction * equity - held * price,
        LIMIT_SHARE * float(limits.maximum_gross_exposure) * equity - gross,
        max(BUYING_STEP * fraction * equity, smallest),
        0.98 * float(portfolio.buying_power),
        float(limits.maximum_order_value),
    )
    return floor(value / price) if value >= smallest else 0


def _wish_before(
    model: Model, view: MarketView, symbol: str, at: datetime, limits: TradingSettings
) -> _Wish:
    """Return what the bar before `at` asked for."""
    history = view.history(symbol, at, inclusive=False)
    features = view.features(symbol, at, inclusive=False)
    if features is None:
        return _NOTHING
    seen = outlook(model, features, float(history.close[-1]), limits)
    return _NOTHING if seen is None else _wish(model, seen)


def propose(
    model: Model,
    label: str,
    view: MarketView,
    bar: MarketData,
    portfolio: Portfolio,
    *,
    limits: TradingSettings,
    occurred_at: datetime,
    data_version: str = "",
) -> TradingProposal | None:
    """Return a BUY or SELL proposal for a bar that the view holds, or None.

    A position is built in steps and bought as long as the outlook asks for it; it is reduced, or
    closed, when the outlook turns that far. None where the history is too short, the edge too
    small, nothing is held to sell, or the change of the position isn't worth a trade.
    """
    symbol, price = bar.symbol, float(bar.price)
    features = view.features(symbol, bar.observed_at)
    seen = None if features is None else outlook(model, features, price, limits)
    if features is None or seen is None:
        return None
    wish = _wish(model, seen)
    fraction = target_fraction(seen.volatility, model.specification.horizon_days, limits)
    quantity = _quantity(
        wish,
        fraction=fraction,
        price=price,
        portfolio=portfolio,
        symbol=symbol,
        limits=limits,
    )
    if wish.action is Action.HOLD or quantity <= 0:
        return None
    if wish.action is Action.SELL:
        before = _wish_before(model, view, symbol, bar.observed_at, limits)
        if before.action is Action.SELL and before.strength >= wish.strength:
            return None
    action, direction = wish.action, 1 if wish.action is Action.BUY else -1
    history = view.history(symbol, bar.observed_at)
    regime = volatility_regime(history)
    patterns = ", ".join(pattern.name for pattern in candlesticks(history))
    specification = model.specification
    return TradingProposal(
        message_id=derive_id("proposal", bar.message_id, label),
        correlation_id=bar.message_id,
        causation_id=bar.message_id,
        occurred_at=occurred_at,
        symbol=symbol,
        action=action,
        quantity=canonical(float(quantity)),
        reference_price=bar.price,
        price_target=canonical(round(price * exp(seen.expected * seen.volatility), PLACES)),
        horizon_days=specification.horizon_days,
        rationale=(
            f"{action} {quantity} {symbol}: expects "
            f"{seen.expected * seen.volatility * 1e4:+.0f} bps in "
            f"{specification.horizon_days} days, right with {seen.chance(direction):.1%}; "
            f"{described(seen.drivers)}; "
            f"volatility {'unknown' if regime is None else regime.name}"
            f"{f'; {patterns}' if patterns else ''}."
        ),
        confidence_ppm=confidence_ppm(seen.chance(direction)),
        risk_metrics={
            "horizon_volatility": canonical(seen.volatility),
            "edge_after_costs": canonical(round(seen.edge(direction), PLACES)),
            "volatility_percentile": canonical(0.5 if regime is None else regime.percentile),
        },
        features={
            name: canonical(round(features[name], PLACES))
            for name in FEATURE_NAMES
            if name in specification.inputs
        },
        portfolio=portfolio,
        model_version=label,
        data_version=data_version,
    )
