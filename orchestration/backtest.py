"""Backtest the deployed champions on stored bars: live engine and order path, in one process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from msgspec.structs import replace

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from agents.market_view import MarketView
from agents.model_files import load
from agents.sentiment.headlines import Headlines
from agents.sentiment.store import open_reader
from consensus.service import rules_from
from domain.chain import link, log_hash
from domain.errors import DataQualityError, ModelRefused
from domain.messages import encode
from domain.ports.ledger import GENESIS, Head, Log
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.streams import partition_of
from domain.voting import AgentId, ConsensusResult
from evaluation import performance
from evaluation.backtest import BacktestResult
from evaluation.monte_carlo import Spread, bootstrap_paths, outcomes, spread
from evaluation.platform_backtest import NamedModel, backtest_of, market_data
from evaluation.trades import trade_hash
from trading.service import sessions_of

_YEAR = timedelta(days=365)
#: Paths of the bootstrap, and the mean length of its blocks.
_PATHS, _BLOCK_DAYS = 10_000, 5.0


@dataclass(frozen=True, kw_only=True)
class BacktestReport:
    """What a backtest did, and how it compares with buy and hold of the same capital.

    Parameters
    ----------
    unseen
        Whether no model has learned from any of these bars; else the result flatters.
    other_paths
        How the end and the drawdown spread over other orders of the same days (stationary
        bootstrap of the returns, in blocks of a week on average); None below two returns.
    """

    result: BacktestResult
    start: datetime
    end: datetime
    bars: int
    unseen: bool
    models: dict[AgentId, str]
    decision_log_hash: str
    trade_hash: str
    figures: dict[str, float]
    other_paths: Spread | None


def run_backtest(
    settings: Settings, start: datetime | None, end: datetime | None
) -> BacktestReport:
    """Trade the stored bars with start ≤ timestamp < end.

    Without a start: those that no model has learned from, or the last year where there are none.

    Raises
    ------
    DataQualityError
        If no bar is stored in that time.
    ModelRefused
        If an agent has no champion on this machine.
    """
    store = open_time_series(settings)
    stored = store.read(Table.BARS, end=end)
    if stored.is_empty():
        raise DataQualityError(
            "No bar is stored" + (f" before {end:%Y-%m-%d}." if end else "."),
            next_step="Ingest bars first (`quorum train`)" + (", or end later." if end else "."),
        )
    champions = champions_of(settings)
    learned_until = max(c.model.specification.trained_until for c in champions.values())
    last: datetime = stored["timestamp"].max()  # type: ignore[assignment] - a column of instants
    start = start or (learned_until if learned_until <= last else last - _YEAR)
    bars = stored.filter(pl.col("timestamp") >= start)
    if bars.is_empty():
        raise DataQualityError(
            f"No bar is stored from {start:%Y-%m-%d} on; the last is of {last:%Y-%m-%d}.",
            next_step="Choose an earlier --start.",
        )
    told = store.read(Table.NEWS, end=end)
    view = MarketView()
    view.warm_up(stored, told)
    headlines = Headlines(open_reader(settings, PrometheusMetrics()))
    headlines.warm_up(told)
    backtest = backtest_of(
        champions,
        view,
        clock=EventClock(),
        metrics=PrometheusMetrics(),
        limits=settings.trading,
        serving=settings.serving,
        rules=rules_from(settings),
        headlines=headlines,
        sessions=sessions_of(settings),
    )
    result = asyncio.run(backtest.run(market_data(bars)))
    return BacktestReport(
        result=result,
        start=bars["timestamp"].min(),  # type: ignore[arg-type]
        end=last,
        bars=bars.height,
        unseen=bool(bars["timestamp"].min() >= learned_until),  # type: ignore[operator]
        models={agent: champion.label for agent, champion in champions.items()},
        decision_log_hash=_log_hash(result.decisions, settings.partitions),
        trade_hash=trade_hash(result.fills),
        figures=_figures(result, bars, float(settings.trading.starting_cash)),
        other_paths=_other_paths(result, settings.seed),
    )


def champions_of(settings: Settings) -> dict[AgentId, NamedModel]:
    """Return who votes now on this machine.

    Raises
    ------
    ModelRefused
        If an agent has no champion.
    """
    deployed = DeployedModels.of(settings)
    champions: dict[AgentId, NamedModel] = {}
    for agent in AgentId:
        found = deployed.current(agent)
        if found is None:
            raise ModelRefused(
                f"{agent} has no champion on this machine.",
                next_step="Train and promote one: `quorum train`.",
            )
        version = found.version
        champions[agent] = NamedModel(
            load(found.folder, agent), version.label, version.data_version
        )
    return champions


def _log_hash(decisions: Sequence[ConsensusResult], partitions: int) -> str:
    """Return the hash of the decision log that a live replay of the same bars would leave."""
    heads: dict[int, Head] = {}
    for decision in decisions:
        partition = partition_of(decision.proposal.symbol, partitions)
        end = heads.get(
            partition, Head(log=Log.DECISIONS, partition=partition, sequence=0, hash=GENESIS)
        )
        heads[partition] = replace(
            end, sequence=end.sequence + 1, hash=link(end.hash, encode(decision))
        )
    return log_hash(heads.values())


def _other_paths(result: BacktestResult, seed: int) -> Spread | None:
    returns = performance.simple_returns(result.equity_curve["equity"].to_numpy())
    if len(returns) < 2:
        return None
    paths = bootstrap_paths(
        returns, periods=len(returns), paths=_PATHS, block=_BLOCK_DAYS, seed=seed
    )
    return spread(outcomes(paths))


def _figures(result: BacktestResult, bars: pl.DataFrame, capital: float) -> dict[str, float]:
    equity = result.equity_curve["equity"].to_numpy()
    held = performance.buy_and_hold(bars, capital)["equity"].to_numpy()
    returns = performance.simple_returns(equity)
    return {
        "total_return": performance.total_return(returns),
        "buy_and_hold_return": performance.total_return(performance.simple_returns(held)),
        "annualised_volatility": performance.annualised_volatility(returns),
        "annualised_sharpe_ratio": performance.annualised_sharpe_ratio(returns),
        "maximum_drawdown": performance.maximum_drawdown(equity),
        "buy_and_hold_maximum_drawdown": performance.maximum_drawdown(held),
    }
