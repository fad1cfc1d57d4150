"""Builders of bars, proposals, decisions and orders with plain numbers."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from domain.identity import client_order_id, derive_id
from domain.market import MarketData
from domain.orders import ExecutionReport, Order, Side
from domain.portfolio import Portfolio
from domain.settings import TradingSettings
from domain.voting import (
    Action,
    AgentId,
    ConsensusResult,
    CountedVote,
    Outcome,
    Thresholds,
    TradingProposal,
)

FIRST_CLOSE = datetime(2012, 9, 4, 20, tzinfo=UTC)


class EventClock:
    def __init__(self):
        self.moment = FIRST_CLOSE

    def now(self):
        return self.moment

    def observe(self, moment):
        self.moment = max(self.moment, moment)


class CountingMetrics:
    def __init__(self):
        self.counts = Counter()
        self.gauges = {}

    def count(self, metric, amount=1, **labels):
        self.counts[metric, *labels.values()] += amount

    def gauge(self, metric, value, **_):
        self.gauges[metric] = value

    def observe(self, metric, *_, **__):
        self.counts[metric] += 1


def at(day):
    return FIRST_CLOSE + timedelta(days=day)


def bar(day, price="100", symbol="IBM", *, volume="1000000", indicators=None, **prices):
    observed_at = at(day)
    message_id = derive_id("bar", symbol, observed_at.isoformat())
    close = Decimal(price)
    shown = {name: Decimal(prices.get(name, price)) for name in ("open", "high", "low")}
    return MarketData(
        message_id=message_id,
        correlation_id=message_id,
        occurred_at=observed_at,
        symbol=symbol,
        observed_at=observed_at,
        price=close,
        volume=Decimal(volume),
        open=shown["open"],
        high=max(shown["high"], shown["open"], close),
        low=min(shown["low"], shown["open"], close),
        technical_indicators=indicators or {},
    )


def counted(scores=(90, 80, 80, 80), confidences=(900_000, 800_000, 800_000, 700_000)):
    return tuple(
        CountedVote(
            agent_id=agent.value,
            message_id=f"vote-{agent.value}",
            score=score,
            confidence_ppm=confidence,
            weight=Decimal("0.25"),
            rationale="",
            risk_assessment={},
            model_version=f"{agent.value}@1:00000000",
        )
        for agent, score, confidence in zip(AgentId, scores, confidences, strict=True)
    )


def decision(
    source,
    action=Action.BUY,
    quantity="100",
    *,
    outcome=Outcome.EXECUTE,
    horizon_days=5,
    votes=None,
    features=None,
    reference_price=None,
):
    proposal = TradingProposal(
        message_id=derive_id("proposal", source.message_id, "market_analyst@1:0"),
        correlation_id=source.message_id,
        causation_id=source.message_id,
        occurred_at=source.observed_at,
        symbol=source.symbol,
        action=action,
        quantity=Decimal(quantity),
        reference_price=Decimal(reference_price) if reference_price else source.price,
        price_target=source.price,
        horizon_days=horizon_days,
        rationale="",
        confidence_ppm=600_000,
        features=features or {},
        portfolio=Portfolio(cash=Decimal(1_000_000)),
        model_version="market_analyst@1:00000000",
    )
    return ConsensusResult(
        message_id=derive_id("decision", proposal.message_id),
        correlation_id=source.message_id,
        causation_id=proposal.message_id,
        occurred_at=source.observed_at,
        proposal=proposal,
        outcome=outcome,
        reason="consensus",
        weighted_score=Decimal(80),
        variance=Decimal(20),
        participation=4,
        degraded=False,
        counted=counted() if votes is None else votes,
        ignored=(),
        rule_version="1",
        thresholds=Thresholds(),
    )


def order(quantity="100", side=Side.BUY, *, day=0, number=0, symbol="IBM", price="100", **others):
    decision_id = f"decision-{number}"
    return Order(
        client_order_id=client_order_id(decision_id),
        decision_id=decision_id,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        arrival_price=Decimal(price),
        created_at=at(day),
        **others,
    )


def report(number, side, quantity, price, *, symbol="IBM", fee="0"):
    return ExecutionReport(
        message_id=f"execution-{number}",
        correlation_id="walk",
        occurred_at=FIRST_CLOSE,
        execution_id=f"execution-{number}",
        client_order_id=f"order-{number}",
        decision_id=f"decision-{number}",
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        executed_at=FIRST_CLOSE,
    )


@pytest.fixture(scope="session")
def make():
    return SimpleNamespace(
        at=at,
        bar=bar,
        clock=EventClock,
        counted=counted,
        decision=decision,
        metrics=CountingMetrics,
        order=order,
        report=report,
        settings=TradingSettings,
    )
