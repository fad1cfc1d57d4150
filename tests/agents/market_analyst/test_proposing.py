from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agents.market_analyst.proposing as module
from agents.calibration import Knots
from agents.market_analyst.proposing import (
    LIMIT_SHARE,
    NARROWEST_BAND,
    no_trade_band,
    propose,
    target_fraction,
    target_share,
)
from agents.market_view import MarketView
from agents.sentiment.headlines import Headlines
from agents.sentiment.reading import LEXICON
from domain.market import NewsItem
from domain.money import canonical
from domain.portfolio import Portfolio, Position
from domain.voting import Action, AgentId

CASH = Portfolio(cash=Decimal(1_000_000))


@pytest.fixture
def analyst(classics):
    """Return a maker of analysts who give every bar the same odds."""
    model = classics[AgentId.MARKET_ANALYST].model

    def leaning(lean):
        odds = {"up": Knots((0.0,), (0.5 + lean,)), "down": Knots((0.0,), (0.5 - lean,))}
        specification = msgspec.structs.replace(
            model.specification,
            calibrations=odds,
            constants={"usual_lean": 0.04, "usual_expectation": 0.1},
        )
        return replace(model, specification=specification)

    return leaning


@pytest.fixture
def proposed(view, bar_of, until, limits):
    def run(model, portfolio=CASH, at=until):
        return propose(
            model, "label", view, bar_of("AAA", at), portfolio, limits=limits, occurred_at=at
        )

    return run


def holding(quantity, price=50):
    return Portfolio(
        cash=Decimal(500_000),
        positions=(
            Position(
                symbol="AAA",
                quantity=Decimal(quantity),
                average_price=Decimal(price),
                mark_price=Decimal(price),
            ),
        ),
    )


def test_a_proposal_that_is_read_cites_regime_and_news(analyst, view, bar_of, until, limits):
    headlines = Headlines(LEXICON)
    bar = bar_of("AAA", until)
    item = {"message_id": "n", "correlation_id": "n", "occurred_at": until, "source": "wire"}
    headlines.add(NewsItem(symbol="AAA", published_at=until, headline="AAA shares surge", **item))
    proposal = propose(
        analyst(0.04), "l", view, bar, CASH, limits=limits, occurred_at=until, headlines=headlines
    )
    assert "calm regime (" in proposal.rationale or "turbulent regime (" in proposal.rationale
    assert "news +0.25 (1 headline, lexicon)" in proposal.rationale
    assert proposal.risk_metrics["news_score"] == Decimal("0.25")
    assert 0.5 <= proposal.risk_metrics["regime_probability"] <= 1


def test_a_good_outlook_is_a_purchase_that_says_why(analyst, proposed, until, bar_of):
    proposal = proposed(analyst(0.04))
    assert proposal.action is Action.BUY
    assert proposal.quantity == int(proposal.quantity) > 0
    assert proposal.price_target > proposal.reference_price == bar_of("AAA", until).price
    assert "driven by" in proposal.rationale
    assert "regime" not in proposal.rationale
    assert proposal.features
    assert all(canonical(v) == v for v in proposal.features.values())
    assert proposal.correlation_id == proposal.causation_id == bar_of("AAA", until).message_id


def test_the_same_bar_gives_the_same_proposal(analyst, proposed):
    assert proposed(analyst(0.04)) == proposed(analyst(0.04))


def test_even_odds_are_no_proposal(analyst, proposed):
    assert proposed(analyst(0.0)) is None
    assert proposed(analyst(0.0), holding(5_000)) is None


def test_only_what_is_held_is_sold(analyst, proposed):
    assert proposed(analyst(-0.04)) is None


def test_the_confidence_is_the_chance_of_the_direction(analyst, proposed):
    assert proposed(analyst(0.03)).confidence_ppm == 530_000
    assert proposed(analyst(-0.02), holding(2_500)).confidence_ppm == 520_000


def shares(proposal, limits):
    """Return the traded share of a whole position."""
    volatility = float(proposal.risk_metrics["horizon_volatility"])
    whole = target_fraction(volatility, 5, limits) * float(proposal.portfolio.equity)
    return float(proposal.quantity * proposal.reference_price) / whole


def test_a_position_is_built_a_horizon_day_at_a_time(analyst, proposed, limits):
    assert shares(proposed(analyst(0.04)), limits) == pytest.approx(0.2, abs=0.01)


def whole_position(proposal, limits):
    """Return a whole position, bought at the proposal's price."""
    price = proposal.reference_price
    volatility = float(proposal.risk_metrics["horizon_volatility"])
    quantity = int(target_fraction(volatility, 5, limits) * 1e6 / float(price))
    position = Position(
        symbol="AAA", quantity=Decimal(quantity), average_price=price, mark_price=price
    )
    return Portfolio(cash=Decimal(1_000_000) - position.market_value, positions=(position,))


@pytest.fixture
def turned(view, world, analyst, monkeypatch):
    """Return the proposal on odds that the bars before did not give."""

    def run(lean, portfolio):
        monkeypatch.setattr(module, "_against_for", lambda *_: False)
        return propose(
            analyst(lean), "label", view, world.bar_of("AAA", world.until), portfolio,
            limits=world.limits, occurred_at=world.until,
        )  # fmt: skip

    return run


def test_odds_against_a_holding_reduce_it_in_steps(analyst, proposed, turned, limits):
    portfolio = whole_position(proposed(analyst(0.04)), limits)
    sale = turned(-0.02, portfolio)
    assert sale.action is Action.SELL
    assert shares(sale, limits) == pytest.approx(0.2, abs=0.01)
    assert sale.price_target < sale.reference_price
    assert "odds ask for 25%" in sale.rationale


def test_odds_in_favour_never_sell(analyst, proposed, limits):
    portfolio = whole_position(proposed(analyst(0.04)), limits)
    assert proposed(analyst(0.005), portfolio) is None


def test_a_gain_is_taken_whole_once_the_odds_turn(analyst, proposed, turned, limits):
    portfolio = whole_position(proposed(analyst(0.04)), limits)
    (held,) = portfolio.positions
    gained = msgspec.structs.replace(held, average_price=held.average_price * Decimal("0.8"))
    rich = msgspec.structs.replace(portfolio, positions=(gained,))
    sale = turned(-0.005, rich)
    assert sale.quantity == held.quantity
    assert "takes profit" in sale.rationale
    assert proposed(analyst(0.03), rich) is None


def test_odds_against_it_for_a_whole_horizon_close_a_holding(analyst, proposed):
    sale = proposed(analyst(-0.005), holding(2_500, price=500))
    assert sale.quantity == 2_500
    assert "time stop" in sale.rationale


def test_the_band_widens_with_cost_and_is_never_nothing():
    assert no_trade_band(0.03, 0.1) == pytest.approx(0.3)
    assert no_trade_band(0.0, 0.1) == NARROWEST_BAND


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_target_rises_with_the_odds_from_nothing_to_the_whole(one, other):
    low, high = (target_share(lean, 0.04) for lean in sorted((one, other)))
    assert 0.0 <= low <= high <= 1.0
    assert target_share(0.0, 0.04) == 0.5


def test_purchases_stop_below_the_limits(analyst, proposed, limits):
    price = float(proposed(analyst(0.04)).reference_price)
    shares = int(1e6 * LIMIT_SHARE * float(limits.maximum_position_fraction) / price)
    full = holding(shares, round(price))
    assert proposed(analyst(0.04), full) is None
    assert proposed(analyst(0.04), Portfolio(cash=Decimal(10))) is None


def test_short_history_is_no_proposal(analyst, bars, bar_of, limits):
    view = MarketView()
    at = bars["timestamp"].min() + timedelta(days=30)
    view.warm_up(bars.filter(bars["timestamp"] <= at))
    assert (
        propose(analyst(0.04), "l", view, bar_of("AAA", at), CASH, limits=limits, occurred_at=at)
        is None
    )
