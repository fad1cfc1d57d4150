"""Every way of allocating, walked forward over skfolio's 20 stocks (1990 – 2022) after 10 bps.

Weights are fitted on 252 days and held for 60, drifting with prices. The learned allocator is
trained again every five years on the ten years before, beside the classic champion on the same
days. skfolio brings the prices: without it nothing is measured.
"""

# ruff: noqa: PLC0415 - skfolio is imported only where it is installed

import importlib.util
import sys
from datetime import UTC, datetime

import numpy as np
import polars as pl

from agents.indicators import compute_frame
from agents.learning.loop import one_thread
from agents.learning.samples import panel, split
from agents.learning.task import Lesson, draft
from agents.model import Model
from agents.network import PolicyNetwork
from agents.portfolio_optimizer import training as task
from agents.price_history import price_histories
from agents.validation import validation_metrics
from benchmarks.measure import Row, run
from domain.settings import TradingSettings
from domain.voting import AgentId
from evaluation.allocation import TRADING_DAYS, classic_methods, standings, walk_forward
from evaluation.significance import hac_interval

_SEED = 1
_BENCHMARK = "equal_weight"
_SETTINGS = TradingSettings(half_spread_bps=10, fee_per_share=0)
_LEARN_DAYS, _RETRAIN_DAYS = 2_520, 1_260
_HORIZON = 5


def measure() -> list[Row]:
    if importlib.util.find_spec("skfolio") is None:
        print("allocation_walk_forward is left out: no skfolio here.", file=sys.stderr)
        return []
    from skfolio.datasets import load_sp500_dataset

    table = load_sp500_dataset()
    closes = table.to_numpy()
    found = standings(
        walk_forward(closes[1:] / closes[:-1] - 1.0, classic_methods()), _BENCHMARK, seed=_SEED
    )
    base = next(s for s in found if s.method == _BENCHMARK)
    rows = [
        Row(
            figure=f"{s.method}: 95 % {s.after_costs.lower:.2f} to {s.after_costs.upper:.2f}, lead"
            f" {s.lead.estimate:+.3f} ({s.lead.lower:+.3f} to {s.lead.upper:+.3f}), turnover"
            f" {s.turnover:.1f} a year, {s.before_costs:.3f} before costs",
            unit="Sharpe",
            ours=s.after_costs.estimate,
            beside="equal weight",
            theirs=base.after_costs.estimate,
        )
        for s in found
    ]
    dates = [datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in table.index]
    return [*rows, *_learned(_bars(closes, dates, list(table.columns)), dates)]


def _bars(closes: np.ndarray, dates: list[datetime], symbols: list[str]) -> pl.DataFrame:
    """Closes as bars: they open where they closed before, and volume is drawn: it tells nothing."""
    frames = []
    volumes = np.random.default_rng(_SEED).lognormal(15.0, 0.4, closes.shape).round()
    for column, symbol in enumerate(symbols):
        close = closes[:, column]
        opened = np.concatenate([close[:1], close[:-1]])
        columns = {
            "open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close),
            "close": close, "volume": volumes[:, column], "raw_close": close,
        }  # fmt: skip
        frames.append(
            pl.DataFrame(
                {"symbol": [symbol] * len(close), "timestamp": dates, **columns},
                schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
            ).with_columns(source=pl.lit("skfolio"))
        )
    return pl.concat(frames)


def _learned(bars: pl.DataFrame, dates: list[datetime]) -> list[Row]:
    features = compute_frame(bars)
    gains: dict[str, list[np.ndarray]] = {"learned": [], "classic": []}
    for cut in range(_LEARN_DAYS, len(dates) - _RETRAIN_DAYS // 2, _RETRAIN_DAYS):
        start, until = dates[cut - _LEARN_DAYS], dates[cut]
        end = dates[min(cut + _RETRAIN_DAYS, len(dates) - 1)]
        known, known_features = (t.filter(pl.col("timestamp") >= start) for t in (bars, features))
        for name, units in (("learned", task.LEARNING.hidden_units), ("classic", 0)):
            model = _model(known, known_features, until, units)
            measured = validation_metrics(
                model, known, known_features, start=until, end=end, settings=_SETTINGS
            )
            gains[name].append(measured["log_return"].to_numpy())
    learned, plain = (np.concatenate(gains[name]) for name in ("learned", "classic"))
    lead = hac_interval(1e4 * (learned - plain))
    year = (TRADING_DAYS / _HORIZON) ** 0.5
    return [
        Row(
            figure=f"learned allocator, every 5 days, {len(learned)} periods: lead"
            f" {lead.estimate:+.2f} bps a period (95 % {lead.lower:+.2f} to {lead.upper:+.2f})",
            unit="Sharpe",
            ours=year * float(learned.mean() / learned.std(ddof=1)),
            beside="classic champion, the same days",
            theirs=year * float(plain.mean() / plain.std(ddof=1)),
        )
    ]


def _model(bars: pl.DataFrame, features: pl.DataFrame, until: datetime, units: int) -> Model:
    """The allocation as training makes it; the vote's calibration is not needed."""
    slices = split(panel(bars, features, until))
    lesson = Lesson(slices, until, _SETTINGS, _no_trials, price_histories(bars))
    network = PolicyNetwork(len(task.INPUTS), 1, units)
    task.policy(network)
    if units:
        with one_thread():
            network.initialise(_SEED)
            task.learn(network, lesson, task.LEARNING)
    return draft(
        AgentId.PORTFOLIO_OPTIMIZER, task.INPUTS, network.eval(), lesson, constants=task.CONSTANTS
    )


def _no_trials():
    raise AssertionError("an allocation alone needs no trial proposals")


if __name__ == "__main__":
    run(measure)
