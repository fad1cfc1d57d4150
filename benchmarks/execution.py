"""Planning and routing an order, beside a general optimiser; working it on books, beside TWAP.

The books are real ones where ``QUORUM_TEST_DATA`` (default ``../shared/data``) has them. Learned
on the first 60 %, measured on the rest; the interval allows for orders that overlap.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.optimize import LinearConstraint, minimize

from agents.execution.implementation_shortfall import Impact, shortfall, trajectory, urgency
from agents.execution.learned_policy import costs_of, even, learn_execution
from agents.execution.order_book import OrderBooks, read_order_books
from agents.execution.order_book_environment import OrderBookEnvironment, Task
from agents.execution.planning import ParentOrder, plan
from agents.execution.routing import Venue, split_order
from agents.execution.volume_curve import USUAL_CURVE, VolumeForecast
from benchmarks.measure import Row, alternately, median, run
from domain.orders import Side
from domain.settings import TradingSettings
from evaluation.execution_cost import compare_costs

_BOOKS = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / "lob_snapshots_100ms.parquet"
_SEEDS = 10
_PAPER = Impact(volatility=0.95, temporary=2.5e-6, permanent=2.5e-7, fixed=0.0625)
_VENUES = (
    Venue("one", 0.3, 1.0, depth=1000),
    Venue("two", -0.2, 1.0, depth=500),
    Venue("three", 0.0, 2.0, depth=4000, capacity=900),
    Venue("dark", 0.1, 1.0, fill_probability=0.4, dark=True, capacity=300),
)


def _ms(operation: Callable[[], object], times: int) -> Callable[[], float]:
    def measured() -> float:
        began = time.process_time()
        for _ in range(times):
            operation()
        return (time.process_time() - began) / times * 1e3

    return measured


def measure() -> list[Row]:
    order = ParentOrder("benchmark", "AAA", Side.BUY, 20_000, 50.0, 0.02)
    forecast, limits = VolumeForecast(USUAL_CURVE, 1e6), TradingSettings()
    times = np.linspace(0.0, 1.0, 14)
    found = alternately(
        {
            "plan": _ms(lambda: plan(order, forecast, limits), 20),
            "trajectory": _ms(lambda: trajectory(1e6, times, urgency(_PAPER, 1e-6)), 200),
            "search": _ms(lambda: _searched(times), 1),
            "route": _ms(lambda: split_order(2000, _VENUES), 50),
            "search a split": _ms(_searched_split, 1),
        },
        7,
    )
    cost = {name: median(values) for name, values in found.items()}
    rows = [
        Row(figure="plan an order by four algorithms", unit="ms CPU", ours=cost["plan"]),
        Row(figure="optimal trajectory, 13 slices", unit="ms CPU", ours=cost["trajectory"],
            beside="scipy BFGS", theirs=cost["search"]),
        Row(figure="split an order over 4 venues", unit="ms CPU", ours=cost["route"],
            beside="scipy SLSQP", theirs=cost["search a split"]),
    ]  # fmt: skip
    if not _BOOKS.exists():
        print(f"no learned executor: {_BOOKS} is absent", file=sys.stderr)
        return rows
    table = pl.read_parquet(_BOOKS).with_columns(pl.col("venue").cast(pl.String))
    for key, snapshots in table.partition_by("venue", as_dict=True, maintain_order=True).items():
        books = read_order_books(snapshots)
        rows += [
            _learned(f"{key[0]}, {side.lower()} 5", books, Task(side, 5.0, 10, 10)) for side in Side
        ]
    return rows


def _learned(name: str, books: OrderBooks, task: Task) -> Row:
    """Return what orders cost on unseen books, mean over seeds; a row per market and side."""
    cut = int(0.6 * len(books))
    seen, unseen = books.rows(0, cut), books.rows(cut, len(books))
    starts = torch.arange(OrderBookEnvironment(unseen, task, episodes=1).starts)
    world = OrderBookEnvironment(unseen, task, episodes=len(starts))
    classic = costs_of(world, even, starts)
    learned = np.mean(
        [
            costs_of(world, learn_execution(
                OrderBookEnvironment(seen, task, episodes=512), seed).best, starts)
            for seed in range(_SEEDS)
        ],
        axis=0,
    )  # fmt: skip
    found = compare_costs(learned, classic, overlap=world.span)
    mean, low, high, _ = found.difference
    return Row(
        figure=f"{name}: learned ({_SEEDS} seeds), difference {mean:+.2f} [{low:+.2f}, {high:+.2f}]"
        f", champion {found.champion}",
        unit="bps",
        ours=float(learned.mean()),
        beside="TWAP",
        theirs=float(classic.mean()),
    )


def _searched(times: np.ndarray) -> object:
    def utility(between: np.ndarray) -> float:
        held = np.concatenate([[1.0], between, [0.0]]) * 1e6
        return shortfall(_PAPER, held, times).utility(1e-6) / 1e6

    return minimize(utility, np.linspace(1, 0, len(times))[1:-1])


def _searched_split() -> object:
    level = np.array([v.fee_bps + (0 if v.dark else v.half_spread_bps) for v in _VENUES])
    slope = np.array([v.half_spread_bps / v.depth for v in _VENUES])
    most = [min(1.0, v.capacity / 2000) for v in _VENUES]

    def cost(parts: np.ndarray) -> float:
        return float(level @ parts + 1000 * slope @ np.square(parts))

    whole = LinearConstraint(np.ones(4), 1, 1)
    bounds = [(0, m) for m in most]
    return minimize(cost, np.full(4, 0.1), bounds=bounds, constraints=whole, method="SLSQP")


if __name__ == "__main__":
    run(measure)
