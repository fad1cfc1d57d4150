"""When and how much the Market Analyst proposes to trade.

Every bar, every symbol is held against its target position: the fraction of equity that carries
`POSITION_VOLATILITY`, scaled by the outlook from nothing (odds one usual lean against it) over
half (even odds) to the whole (one usual lean in favour). The difference is proposed

- if the odds are with the trade: its chance of earning after costs is above one half;
- if it is worth its cost: outside the no-trade band (`no_trade_band`);
- a step at a time, one horizon-day's share of a whole position, so that an outlook that lasts a
  day moves a part of it only.

A holding is closed whole, instead of in steps, when the odds have turned against it and it has
gained a usual move of the horizon (profit taken), or they have been against it for a whole
horizon (time stop). Whatever was left or refused is looked at again at the next bar.

None of the constants was fitted to prices: each says where it comes from. The form of the rules
was chosen while looking at replays of 2008 to 2012, all before the sample's cutoff. What depends
on the model (how far its odds usually lean) is measured by `training.calibrate`, before the cutoff.
"""

from datetime import datetime
from decimal import Decimal
from math import exp, floor, sqrt
from typing import NamedTuple

from agents.indicators import FEATURE_NAMES
from agents.market_analyst.judgement import Outlook, described, lean_of, outlook
from agents.market_analyst.patterns.saying import said_of_patterns
from agents.market_analyst.regime import assess_regime
from agents.market_view import MarketView
from agents.model import PLACES, Model, Specification
from agents.price_history import PriceHistory, to_instant
from agents.scores import EVEN_CHANCE
from agents.sentiment.headlines import Headlines
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import canonical
from domain.portfolio import Portfolio
from domain.settings import TradingSettings
from domain.voting import Action, TradingProposal, confidence_ppm

#: A position is sized so that it alone moves the portfolio by this much a year (volatility):
#: five of them, half correlated, move it by about 16 %, as an index of stocks does.
POSITION_VOLATILITY = 0.04
#: Share of the position and exposure limits that is used: a rise in price may not breach them.
LIMIT_SHARE = 0.7
#: The band is never narrower (as a share of a whole position): smaller trades are not worth the
#: four votes, whatever they cost.
NARROWEST_BAND = 0.1
_TRADING_DAYS = 252


def target_fraction(horizon_volatility: float, horizon_days: int, limits: TradingSettings) -> float:
    """Return the fraction of equity at which a position carries its share of volatility."""
    annual = horizon_volatility * sqrt(_TRADING_DAYS / horizon_days)
    return min(POSITION_VOLATILITY / annual, LIMIT_SHARE * float(limits.maximum_position_fraction))


def target_share(lean: float, usual_lean: float) -> float:
    """Return the share of a whole position that the odds ask for, 0 … 1."""
    return min(max(0.5 + 0.5 * lean / usual_lean, 0.0), 1.0)


def no_trade_band(cost: float, usual_expectation: float) -> float:
    """Return the least change, as a share of a whole position, that is worth its cost.

    Parameters
    ----------
    cost
        Of getting in, in volatilities of the horizon.
    usual_expectation
        What is expected at one usual lean, in the same unit.

    Notes
    -----
    Who holds a whole position at one usual lean and half of it at even odds gains, by moving a
    share d closer to the target, expectation · d² over the horizon (a quadratic utility with the
    risk aversion that these sizes imply). The way there costs cost · d; the way back is charged
    when it is taken, as in rewards.
    """
    return max(cost / usual_expectation, NARROWEST_BAND)


class _Wish(NamedTuple):
    """What is to be traded: a signed share of a whole position, and why now."""

    share: float
    reason: str


def _wish(
    model: Model, view: MarketView, bar: MarketData, seen: Outlook, *, held: float, gain: float
) -> _Wish | None:
    """Return the change that is worth proposing, or None.

    Parameters
    ----------
    held
        What is held, as a share of a whole position.
    gain
        The price against the average price paid, in volatilities of the horizon.
    """
    days, constants = model.specification.horizon_days, model.specification.constants
    band = no_trade_band(seen.cost, constants["usual_expectation"])
    target = target_share(seen.lean, constants["usual_lean"])
    gap = target - held
    direction = 1 if gap > 0.0 else -1
    if seen.chance(direction) <= EVEN_CHANCE:
        return None
    if direction < 0:
        if gain >= 1.0:
            return _Wish(-held, f"takes profit after {gain:+.1f} volatilities, odds have turned")
        if _against_for(model, view, bar, days):
            return _Wish(-held, f"time stop, odds were against it for {days} bars")
    if abs(gap) < band:
        return None
    aim = f"holds {held:.0%} of a whole position, the odds ask for {target:.0%}"
    return _Wish(direction * min(abs(gap), 1.0 / days), aim)


def _against_for(model: Model, view: MarketView, bar: MarketData, bars: int) -> bool:
    """Whether a sale was the likelier to earn at each of the newest `bars` bars."""
    times = view.history(bar.symbol, bar.observed_at).last(bars).times.tolist()
    leans = [_lean(model, view, bar.symbol, to_instant(time)) for time in times]
    return len(leans) == bars and all(lean is not None and lean < 0.0 for lean in leans)


def _lean(model: Model, view: MarketView, symbol: str, at: datetime) -> float | None:
    features = view.features(symbol, at)
    return None if features is None else lean_of(model, features)


def _quantity(
    share: float,
    *,
    whole: float,
    price: float,
    portfolio: Portfolio,
    symbol: str,
    limits: TradingSettings,
) -> int:
    """Return whole shares to trade: what is held and the limits leave of the wish."""
    equity, held = float(portfolio.equity), float(portfolio.quantity(symbol))
    wanted = abs(share) * whole * equity
    if share < 0.0:
        return min(round(wanted / price), floor(held))
    gross = sum(abs(float(position.market_value)) for position in portfolio.positions)
    value = min(
        wanted,
        LIMIT_SHARE * float(limits.maximum_position_fraction) * equity - held * price,
        LIMIT_SHARE * float(limits.maximum_gross_exposure) * equity - gross,
        0.98 * float(portfolio.buying_power),
        float(limits.maximum_order_value),
    )
    return floor(value / price) if value >= NARROWEST_BAND * whole * equity else 0


def _gain(portfolio: Portfolio, symbol: str, price: float, volatility: float) -> float:
    """Return the price against the average price paid, in volatilities; 0 without a holding."""
    position = portfolio.position(symbol)
    if position is None or position.quantity <= 0:
        return 0.0
    return (price / float(position.average_price) - 1.0) / volatility


def _in_words(
    seen: Outlook,
    direction: int,
    specification: Specification,
    cited: list[str],
) -> str:
    gain, days = seen.expected * seen.volatility * 1e4, specification.horizon_days
    parts = [
        f"expects {gain:+.0f} bps in {days} days, right with {seen.chance(direction):.1%}",
        described(seen.drivers),
        *cited,
    ]
    return "; ".join(parts) + "."


def _cited(
    specification: Specification, history: PriceHistory, bar: MarketData, headlines: Headlines
) -> tuple[list[str], dict[str, Decimal]]:
    """Return regime, news and patterns in words, and the first two as named numbers."""
    regime, news = assess_regime(history), headlines.sentiment(bar.symbol, bar.observed_at)
    measured = {"news_score": news.score, "news_confidence": news.confidence}
    if regime is not None:
        measured["regime_probability"] = regime.probability
        measured["regime_expected_days"] = regime.expected_days
        measured["regime_familiarity"] = regime.familiarity
    patterns = said_of_patterns(history, specification.patterns)
    words = ["regime unknown" if regime is None else regime.in_words(), news.in_words()]
    return (
        [*words, patterns] if patterns else words,
        {name: canonical(value) for name, value in measured.items()},
    )


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
    headlines: Headlines | None = None,
) -> TradingProposal | None:
    """Return a BUY or SELL proposal for a bar that the view holds, or None.

    None where the history is too short, the position is where the odds ask for it, the odds are
    not with the trade, it isn't worth its cost, or the limits leave no room.

    Parameters
    ----------
    headlines
        What the proposal cites news from. Without it, as in trials that nobody reads, nothing
        is cited.
    """
    symbol, price = bar.symbol, float(bar.price)
    features = view.features(symbol, bar.observed_at)
    seen = None if features is None else outlook(model, features, price, limits)
    if features is None or seen is None or portfolio.equity <= 0:
        return None
    specification = model.specification
    whole = target_fraction(seen.volatility, specification.horizon_days, limits)
    held = float(portfolio.quantity(symbol)) * price / (whole * float(portfolio.equity))
    gain = _gain(portfolio, symbol, price, seen.volatility)
    wish = _wish(model, view, bar, seen, held=held, gain=gain)
    if wish is None:
        return None
    quantity = _quantity(
        wish.share, whole=whole, price=price, portfolio=portfolio, symbol=symbol, limits=limits
    )
    if quantity <= 0:
        return None
    direction = 1 if wish.share > 0.0 else -1
    action = Action.BUY if direction > 0 else Action.SELL
    cited: list[str] = []
    measured: dict[str, Decimal] = {}
    if headlines is not None:
        history = view.history(symbol, bar.observed_at)
        cited, measured = _cited(specification, history, bar, headlines)
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
        rationale=f"{action} {quantity} {symbol}: {wish.reason}; "
        + _in_words(seen, direction, specification, cited),
        confidence_ppm=confidence_ppm(seen.chance(direction)),
        risk_metrics={
            "horizon_volatility": canonical(seen.volatility),
            "edge_after_costs": canonical(round(seen.edge(direction), PLACES)),
            **measured,
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
