import asyncio
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.bus.memory import MemoryBus
from adapters.clock import EventClock
from adapters.ledger.memory import MemoryLedger
from adapters.metrics import PrometheusMetrics
from consensus.processor import Processor
from domain.experience import Experience
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import decode, encode
from domain.metrics import Metric
from domain.money import canonical
from domain.orders import ExecutionReport, OrderStatus, OrderUpdated
from domain.rules import Rules
from domain.settings import Settings, TradingSettings
from domain.streams import Stream
from domain.voting import Action, AgentId, Outcome, TradingProposal, Vote
from evaluation.backtest import Backtest
from trading.handler import GatewayHandler
from trading.paper_venue import PaperVenue
from trading.service import sources

D = Decimal
FIRST_CLOSE = datetime(2012, 9, 4, 20, tzinfo=UTC)


def bar(day, symbol, opening, close):
    moment = FIRST_CLOSE + timedelta(days=day)
    identity = derive_id("bar", symbol, moment.isoformat())
    opening, close = canonical(round(opening, 2)), canonical(round(close, 2))
    return MarketData(
        message_id=identity,
        correlation_id=identity,
        occurred_at=moment,
        symbol=symbol,
        observed_at=moment,
        price=close,
        open=opening,
        high=max(opening, close) + 1,
        low=min(opening, close) - 1,
        volume=D(2_000),
    )


def waves(days):
    """Two symbols on sine waves a quarter apart, in order of (timestamp, symbol)."""

    def price(day, phase):
        return 100 + 10 * math.sin(day / 5 + phase)

    return [
        bar(day, symbol, price(day - 0.5, phase), price(day, phase))
        for day in range(days)
        for symbol, phase in (("AAPL", 0.0), ("IBM", math.pi / 2))
    ]


def proposal_of(data, action, quantity, portfolio):
    return TradingProposal(
        message_id=derive_id("proposal", data.message_id, "test"),
        correlation_id=data.message_id,
        causation_id=data.message_id,
        occurred_at=data.occurred_at,
        symbol=data.symbol,
        action=action,
        quantity=D(quantity),
        reference_price=data.price,
        price_target=data.price,
        horizon_days=3,
        rationale="",
        confidence_ppm=600_000,
        portfolio=portfolio,
        model_version="market_analyst@1:00000000",
    )


def contrarian(data, portfolio):
    """Buy below 95, sell above 105."""
    if data.price < 95:
        return proposal_of(data, Action.BUY, 120, portfolio)
    if data.price > 105:
        return proposal_of(data, Action.SELL, 120, portfolio)
    return None


def vote_of(agent, proposal, score=80):
    return Vote(
        message_id=derive_id("vote", agent, proposal.proposal_id, "test"),
        correlation_id=proposal.correlation_id,
        causation_id=proposal.proposal_id,
        occurred_at=proposal.occurred_at,
        agent_id=agent,
        proposal_id=proposal.proposal_id,
        symbol=proposal.symbol,
        score=score,
        confidence_ppm=700_000,
        rationale="",
        model_version=f"{agent}@1:00000000",
    )


def capricious(agent, proposal):
    """Agree, disagree or stay silent, by the day, so that every outcome occurs."""
    day = (proposal.occurred_at - FIRST_CLOSE).days
    if day % 7 == 3 and agent is AgentId.RISK_MANAGER:
        return None
    if day % 5 == 0 and agent is AgentId.EXECUTION:
        return vote_of(agent, proposal, 10)
    return vote_of(agent, proposal, 60 if day % 4 == 1 else 85)


def run(bars, propose=contrarian, vote=capricious, **limits):
    metrics = PrometheusMetrics()
    backtest = Backtest(
        propose,
        vote,
        clock=EventClock(),
        metrics=metrics,
        settings=TradingSettings(**limits),
        rules=Rules(),
    )
    return asyncio.run(backtest.run(bars))


def test_one_trade_to_the_last_cent():
    bars = [bar(0, "IBM", 100, 100), bar(1, "IBM", 101, 103), bar(2, "IBM", 103, 104)]

    def once(data, portfolio):
        return proposal_of(data, Action.BUY, 100, portfolio) if data is bars[0] else None

    result = run(bars, once, vote_of)
    (fill,) = result.fills
    # 101 + 2 bps + 101 · 0.1 · 0.02 · √(100 / 2000); fee 100 · 0.0035
    assert fill.price == D("101.065369")
    assert fill.fee == D("0.35")
    assert [float(v) for v in result.equity_curve["equity"]] == [
        1_000_000.0,
        1_000_193.1131,
        1_000_293.1131,
    ]
    assert result.portfolio.cash == D("989893.1131")
    assert result.experiences == []


def test_every_kind_of_outcome_is_decided_and_only_execute_is_ordered():
    result = run(waves(60))
    assert {d.outcome for d in result.decisions} == set(Outcome)
    assert {d.reason for d in result.decisions} >= {
        "consensus",
        "below_threshold",
        "disagreement",
        "degraded",
        "review_timeout",
    }
    executed = {d.decision_id for d in result.decisions if d.outcome is Outcome.EXECUTE}
    assert {u.order.decision_id for u in result.orders} == executed
    assert {u.status for u in result.orders} >= {OrderStatus.PARTIALLY_FILLED, OrderStatus.DENIED}
    assert {e.outcome for e in result.experiences} == {Outcome.EXECUTE, Outcome.REJECT}


def test_two_runs_give_the_same_bytes():
    one, other = run(waves(40)), run(waves(40))
    for name in ("decisions", "orders", "fills", "experiences"):
        assert [*map(encode, getattr(one, name))] == [*map(encode, getattr(other, name))]
    assert one.equity_points == other.equity_points


def test_no_bars_leave_the_starting_cash():
    result = run([], starting_cash=D(5_000))
    assert result.portfolio.equity == 5_000
    assert result.equity_curve.is_empty()


def test_the_future_changes_nothing_of_the_past():
    whole, half = run(waves(60)), run(waves(30))
    assert whole.equity_points[: len(half.equity_points)] == half.equity_points
    assert [*map(encode, whole.fills[: len(half.fills)])] == [*map(encode, half.fills)]


async def live_messages(bars, decisions):
    """What the gateway process tells when a replay feeds it these bars and decisions."""
    bus, ledger = MemoryBus(), MemoryLedger()
    settings = Settings()
    metrics = PrometheusMetrics()
    handler = GatewayHandler(PaperVenue(settings.trading), EventClock(), metrics, settings)
    processor = Processor(
        bus, ledger, handler, metrics, group="gateway", sources=sources(1), wait_ms=10
    )
    stop = asyncio.Event()
    running = asyncio.create_task(processor.run(stop))

    async def feed(stream, message):
        await bus.publish(stream, 0, message)
        while (await bus.backlog("gateway", stream, 0)).total:  # noqa: ASYNC110
            await asyncio.sleep(0)

    waiting = list(decisions)
    for number, data in enumerate(bars):
        await feed(Stream.MARKET, data)
        following = bars[number + 1] if number + 1 < len(bars) else None
        while waiting and (
            following is None
            or waiting[0].correlation_id == data.message_id
            or waiting[0].occurred_at < following.occurred_at > data.occurred_at
        ):
            await feed(Stream.DECISIONS, waiting.pop(0))
    stop.set()
    await running
    told = {}
    for stream in (Stream.ORDERS, Stream.EXECUTIONS, Stream.EXPERIENCES, Stream.PORTFOLIO):
        told[stream] = [decode(d.data) for d in await bus.read(stream, 0, limit=10**6)]
    return told


@pytest.mark.parametrize("vote", [vote_of, capricious])
async def test_the_gateway_process_does_what_the_backtest_did(vote):
    bars = waves(50)
    backtest = Backtest(
        contrarian,
        vote,
        clock=EventClock(),
        metrics=PrometheusMetrics(),
        settings=TradingSettings(),
        rules=Rules(),
    )
    result = await backtest.run(bars)
    live = await live_messages(bars, result.decisions)
    for stream, kind, mine in (
        (Stream.ORDERS, OrderUpdated, result.orders),
        (Stream.EXECUTIONS, ExecutionReport, result.fills),
        (Stream.EXPERIENCES, Experience, result.experiences),
    ):
        assert mine
        theirs = [m for m in live[stream] if isinstance(m, kind)]
        assert [*map(encode, theirs)] == [*map(encode, mine)]
    assert live[Stream.PORTFOLIO][-1].portfolio == result.portfolio


def test_denials_are_counted():
    metrics = PrometheusMetrics()
    backtest = Backtest(
        contrarian,
        vote_of,
        clock=EventClock(),
        metrics=metrics,
        settings=TradingSettings(maximum_order_value=D(1)),
        rules=Rules(),
    )
    result = asyncio.run(backtest.run(waves(20)))
    denied = [u for u in result.orders if u.status is OrderStatus.DENIED]
    assert len(denied) == len(result.orders) > 0
    line = f'{Metric.DENIALS.value.name}{{control="maximum_order_value"}} {len(denied)}.0'
    assert line in metrics.exposition().decode()
