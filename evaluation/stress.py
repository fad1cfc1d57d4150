"""Stress test: what scenarios do to the portfolio, and what votes and controls do about them.

Each scenario runs through the event-driven backtest: models, engine, controls and paper venue are
the live ones. The platform first trades some sessions as they are stored, so that it holds what it
would hold; then the scenario comes, and the result is held against leaving the portfolio alone.

What it does not claim: moves of an index say nothing of each symbol (a symbol has its β and what
it did of its own), no order of ours moves a later price, and no scenario has a probability.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import polars as pl
from msgspec.structs import replace

from agents.market_view import MarketView
from domain.errors import DataQualityError
from domain.market import MarketData
from domain.messages import Value
from domain.money import BASIS_POINT, EXACT, canonical
from domain.orders import EXITS, OrderStatus
from domain.portfolio import Portfolio
from evaluation import performance
from evaluation.backtest import Backtest, BacktestResult, CastVote, Propose
from evaluation.mad_agents import Madness
from evaluation.platform_backtest import market_data
from evaluation.stress_market import stressed
from evaluation.stress_scenarios import Scenario

#: Sessions that the platform trades before a scenario.
APPROACH = 60
Disturb = Callable[[Propose, CastVote], tuple[Propose, CastVote]]
#: Makes a backtest on a view, its agents disturbed.
MakeBacktest = Callable[[MarketView, Disturb], Backtest]


class StressRow(Value, frozen=True, kw_only=True):
    """What one scenario did. Returns are fractions from the close before it to its end.

    Parameters
    ----------
    historical
        Whether the bars of those days were stored; else they were bent by parameters.
    market
        Equal money in each symbol.
    held
        The portfolio as it stood, had nothing been done.
    at_limit
        Equal money in each symbol up to the limit of gross exposure, left alone.
    platform
        The portfolio with everything that agents, engine and order path did.
    exposure
        Gross exposure over equity before it.
    worst_day, drawdown
        Of the platform's equity: lowest return of a session, deepest fall from a peak (≤ 0).
    decisions, denials, exits
        Number by outcome; orders by the control that denied them; shares sold or bought back by
        stops, targets and time stops, in fills, by the exit's role.
    """

    scenario: str
    source: str
    start: datetime
    end: datetime
    historical: bool
    market: float
    held: float
    at_limit: float
    platform: float
    exposure: float
    worst_day: float
    drawdown: float
    decisions: dict[str, int]
    orders: int
    denials: dict[str, int]
    exits: dict[str, int]


class Interval(NamedTuple):
    """Where a scenario lies: first approached, first stressed and last timestamp."""

    approach: datetime
    start: datetime
    end: datetime
    historical: bool


def stress_table(
    bars: pl.DataFrame,
    scenarios: Sequence[Scenario],
    make: MakeBacktest,
    *,
    gross_limit: float,
) -> list[StressRow]:
    """Return what each scenario did, in their order.

    All parametric scenarios come after the same session, so that they meet the same portfolio.

    Parameters
    ----------
    bars
        All that is stored: columns symbol, timestamp, open, high, low, close, volume.
    gross_limit
        Gross exposure that the controls allow, over equity.

    Raises
    ------
    DataQualityError
        If too few sessions are stored.
    """
    longest = max((scenario.length for scenario in scenarios), default=0)
    return [
        _row(bars, scenario, make, longest=longest, gross_limit=gross_limit)
        for scenario in scenarios
    ]


def interval_of(bars: pl.DataFrame, scenario: Scenario, longest: int) -> Interval:
    """Return where a scenario lies: in its own days where they are stored, else at the end."""
    instants: list[datetime] = bars["timestamp"].unique().sort().to_list()
    if scenario.period is not None:
        first, last = scenario.period
        days = [moment.date() for moment in instants]
        inside = [i for i, day in enumerate(days) if first <= day <= last]
        if inside and inside[0] >= APPROACH and days[-1] >= last:
            begins, ends = inside[0], inside[-1]
            return Interval(
                instants[begins - APPROACH], instants[begins], instants[ends], historical=True
            )
    begins = len(instants) - max(longest, scenario.length)
    if begins < APPROACH:
        raise DataQualityError(
            f"'{scenario.name}' needs {APPROACH + len(instants) - begins} sessions; "
            f"{len(instants)} are stored.",
            next_step="Ingest more bars.",
        )
    ends = begins + scenario.length - 1
    return Interval(instants[begins - APPROACH], instants[begins], instants[ends], historical=False)


def _row(
    bars: pl.DataFrame,
    scenario: Scenario,
    make: MakeBacktest,
    *,
    longest: int,
    gross_limit: float,
) -> StressRow:
    interval = interval_of(bars, scenario, longest)
    view, madness = MarketView(), Madness(scenario.mad, scenario.mad_size)
    backtest = make(view, madness.disturb)
    before = bars.filter(pl.col("timestamp") < interval.start)
    view.warm_up(before)
    result = asyncio.run(
        backtest.run(market_data(before.filter(pl.col("timestamp") >= interval.approach)))
    )
    portfolio = result.portfolio
    seen = _Before(portfolio, len(result.decisions), len(result.orders), len(result.fills))
    largest = max(
        portfolio.positions,
        key=lambda position: (abs(position.market_value), position.symbol),
        default=None,
    )
    if interval.historical:
        whole = bars.filter(pl.col("timestamp") <= interval.end)
    else:
        name = largest.symbol if largest is not None and largest.quantity else None
        whole = stressed(bars, scenario, start=interval.start, largest=name)
    view.warm_up(whole)
    madness.began = True
    during = whole.filter(pl.col("timestamp") >= interval.start)
    asyncio.run(backtest.run(_quoted(market_data(during), scenario, interval)))
    return _measured(scenario, interval, whole, result, before=seen, gross_limit=gross_limit)


class _Before(NamedTuple):
    """The portfolio before the scenario, and how many messages there had been."""

    portfolio: Portfolio
    decisions: int
    orders: int
    fills: int


def _quoted(
    bars: Iterator[MarketData], scenario: Scenario, interval: Interval
) -> Iterator[MarketData]:
    """Yield the bars with the scenario's spread around their close."""
    if scenario.spread_bps is None or interval.historical:
        yield from bars
        return
    half = EXACT.multiply(Decimal(str(scenario.spread_bps)), BASIS_POINT)
    for bar in bars:
        away = EXACT.multiply(bar.price, half)
        bid, ask = EXACT.subtract(bar.price, away), EXACT.add(bar.price, away)
        yield replace(bar, bid=canonical(bid), ask=canonical(ask))


def _measured(
    scenario: Scenario,
    interval: Interval,
    bars: pl.DataFrame,
    result: BacktestResult,
    *,
    before: _Before,
    gross_limit: float,
) -> StressRow:
    closes = {
        str(symbol): (old, new)
        for symbol, old, new in bars.sort("timestamp")
        .group_by("symbol")
        .agg(
            old=pl.col("close").filter(pl.col("timestamp") < interval.start).last(),
            new=pl.col("close").last(),
        )
        .sort("symbol")
        .iter_rows()
        if old is not None
    }
    portfolio = before.portfolio
    equity = float(portfolio.equity)
    changes = [
        float(position.market_value) * (closes[position.symbol][1] / closes[position.symbol][0] - 1)
        for position in portfolio.positions
    ]
    curve = result.equity_curve.filter(pl.col("timestamp") >= interval.start)["equity"].to_numpy()
    path = np.concatenate([[equity], curve])
    denials = Counter(
        update.denial.control
        for update in result.orders[before.orders :]
        if update.status is OrderStatus.DENIED and update.denial is not None
    )
    roles = {u.order.client_order_id: u.order.role for u in result.orders}
    exits = Counter(
        roles[fill.client_order_id].value
        for fill in result.fills[before.fills :]
        if roles[fill.client_order_id] in EXITS
    )
    outcomes = Counter(decision.outcome.value for decision in result.decisions[before.decisions :])
    asked = {update.order.client_order_id for update in result.orders[before.orders :]}
    gross = sum(abs(float(position.market_value)) for position in portfolio.positions)
    market = float(np.mean([new / old - 1.0 for old, new in closes.values()]))
    return StressRow(
        scenario=scenario.name,
        source="stored bars" if interval.historical else scenario.source,
        start=interval.start,
        end=interval.end,
        historical=interval.historical,
        market=market,
        held=sum(changes) / equity,
        at_limit=market * gross_limit,
        platform=float(path[-1] / path[0] - 1.0),
        exposure=gross / equity,
        worst_day=float(np.min(performance.simple_returns(path))),
        drawdown=performance.maximum_drawdown(path),
        decisions=dict(sorted(outcomes.items())),
        orders=len(asked),
        denials=dict(sorted(denials.items())),
        exits=dict(sorted(exits.items())),
    )
