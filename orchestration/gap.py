"""The gap between what was traded on paper and the backtest of the same days."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from adapters.time_series import open_time_series
from agents.market_view import MarketView
from agents.sentiment.headlines import Headlines
from agents.sentiment.store import open_reader
from consensus.audit import read_log
from consensus.service import rules_from
from domain.errors import DataQualityError
from domain.market import MarketData
from domain.messages import Message
from domain.ports.ledger import Ledger, Log
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import AgentId, ConsensusResult, TradingProposal
from evaluation.backtest import Backtest, BacktestResult
from evaluation.gap import Gap, Session, measure
from evaluation.platform_backtest import backtest_of, market_data
from orchestration.backtest import champions_of
from orchestration.record import ask
from trading.service import sessions_of


def recorded(settings: Settings) -> list[Message]:
    """Return what the platform's own gateway has on record."""

    async def read(ledger: Ledger) -> list[Message]:
        return [entry.message async for entry in read_log(ledger, Log.ORDERS)]

    return ask(settings, read)


def measure_gap(settings: Settings, events: Sequence[Message]) -> Gap:
    """Hold a session's record against the backtest of its days with the present champions.

    Raises
    ------
    DataQualityError
        If the record holds no bar.
    ModelRefused
        If an agent has no champion on this machine.
    """
    session = Session(events)
    if not session.bars:
        raise DataQualityError(
            "The record holds no bar, so nothing was traded.",
            next_step="Run a session first: `quorum paper`.",
        )
    store = open_time_series(settings)
    moments = [bar.observed_at for bar in session.bars]
    first, last = min(moments), max(moments)
    stored = store.read(Table.BARS).filter(pl.col("timestamp") <= last)
    known = stored.filter(pl.col("timestamp") < first)
    bars = list(market_data(stored.filter(pl.col("timestamp") >= first)))
    told = store.read(Table.NEWS).pipe(
        lambda news: news if news.is_empty() else news.filter(pl.col("timestamp") <= last)
    )
    champions = champions_of(settings)

    def backtest(
        traded: Sequence[MarketData], votes_on: Callable[[AgentId, TradingProposal], bool]
    ) -> Backtest:
        view = MarketView()
        view.warm_up(pl.concat([known, frame_of(traded)], how="diagonal"), told)
        headlines = Headlines(open_reader(settings, PrometheusMetrics()))
        headlines.warm_up(told)
        return backtest_of(
            champions,
            view,
            clock=EventClock(),
            metrics=PrometheusMetrics(),
            limits=settings.trading,
            serving=settings.serving,
            rules=rules_from(settings),
            headlines=headlines,
            sessions=sessions_of(settings),
            votes_on=votes_on,
        )

    def run(
        traded: Sequence[MarketData], votes_on: Callable[[AgentId, TradingProposal], bool]
    ) -> BacktestResult:
        return asyncio.run(backtest(traded, votes_on).run(traded))

    def orders(inputs: Sequence[MarketData | ConsensusResult]) -> BacktestResult:
        return asyncio.run(backtest(session.bars, session.votes_on).execute(inputs))

    return measure(session, bars, run, orders)


def frame_of(bars: Sequence[MarketData]) -> pl.DataFrame:
    """Return bars' messages as rows of the table BARS, with the numbers that agents read."""
    columns: dict[str, list[Decimal | None]] = {
        "open": [bar.open for bar in bars],
        "high": [bar.high for bar in bars],
        "low": [bar.low for bar in bars],
        "close": [bar.price for bar in bars],
        "volume": [bar.volume for bar in bars],
    }
    return pl.DataFrame(
        {
            "symbol": [bar.symbol for bar in bars],
            "timestamp": [bar.observed_at for bar in bars],
            **{
                n: [None if v is None else float(v) for v in values]
                for n, values in columns.items()
            },
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
