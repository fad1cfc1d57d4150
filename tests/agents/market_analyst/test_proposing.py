from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

import agents.market_analyst.proposing as module
from agents.calibration import Knots
from agents.market_analyst.proposing import LIMIT_SHARE, propose
from agents.market_view import MarketView
from domain.money import canonical
from domain.portfolio import Portfolio, Position
from domain.voting import Action, AgentId

CASH = Portfolio(cash=Decimal(1_000_000))


@pytest.fixture
def analyst(classics):
    """Return a maker of analysts who expect the same of every bar."""
    model = classics[AgentId.MARKET_ANALYST].model

    def expecting(expected):
        specification = msgspec.structs.replace(
            model.specification,
            calibrations=model.specification.calibrations
            | {"expected": Knots((0.0,), (expected,))},
            constants={"buy_at_edge": 0.02, "sell_at_edge": 0.02},
        )
        return replace(model, specification=specification)

    return expecting


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


def test_a_good_outlook_is_a_purchase_that_says_why(analyst, proposed, until, bar_of):
    proposal = proposed(analyst(0.5))
    assert proposal.action is Action.BUY
    assert proposal.quantity == int(proposal.quantity) > 0
    assert proposal.price_target > proposal.reference_price == bar_of("AAA", until).price
    assert "driven by" in proposal.rationale
    assert "volatility" in proposal.rationale
    assert proposal.features
    assert all(canonical(v) == v for v in proposal.features.values())
    assert proposal.correlation_id == proposal.causation_id == bar_of("AAA", until).message_id


def test_the_same_bar_gives_the_same_proposal(analyst, proposed):
    assert proposed(analyst(0.5)) == proposed(analyst(0.5))


def test_an_indifferent_outlook_is_no_proposal(analyst, proposed):
    assert proposed(analyst(0.0)) is None


def test_only_what_is_held_is_sold(analyst, proposed):
    assert proposed(analyst(-0.5)) is None


@pytest.fixture
def turned(view, world, analyst, monkeypatch):
    """Return the proposal on an outlook that the bar before did not have."""

    def run(expected, portfolio):
        monkeypatch.setattr(module, "_wish_before", lambda *_: module._NOTHING)
        return propose(
            analyst(expected), "label", view, world.bar_of("AAA", world.until), portfolio,
            limits=world.limits, occurred_at=world.until,
        )  # fmt: skip

    return run


def test_a_bad_outlook_reduces_and_a_very_bad_one_closes(turned):
    reduced, closed = turned(-0.05, holding(5_000)), turned(-0.5, holding(5_000))
    assert reduced.action is closed.action is Action.SELL
    assert 0 < reduced.quantity < closed.quantity == 5_000
    assert reduced.price_target < reduced.reference_price


def test_an_outlook_that_stays_bad_is_not_proposed_again(analyst, proposed):
    assert proposed(analyst(-0.5), holding(5_000)) is None


def test_purchases_stop_below_the_limits(analyst, proposed, limits):
    price = float(proposed(analyst(0.5)).reference_price)
    shares = int(1e6 * LIMIT_SHARE * float(limits.maximum_position_fraction) / price)
    full = holding(shares, round(price))
    assert proposed(analyst(0.5), full) is None
    assert proposed(analyst(0.5), Portfolio(cash=Decimal(10))) is None


def test_short_history_is_no_proposal(analyst, bars, bar_of, limits):
    view = MarketView()
    at = bars["timestamp"].min() + timedelta(days=30)
    view.warm_up(bars.filter(bars["timestamp"] <= at))
    assert (
        propose(analyst(0.5), "l", view, bar_of("AAA", at), CASH, limits=limits, occurred_at=at)
        is None
    )
