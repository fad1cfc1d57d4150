"""Whether what the rule executes does better than what it rejects, where the truth is planted.

For each seed all four agents learn 1,530 days of a world of eight symbols (about 12 CPU s), then
live engine and order path trade its last 270 (about 18). In one world a trend of ten days foretells
the next day with a Sharpe ratio of .15, in the other nothing foretells anything. Intervals are
Student's, over seeds.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import polars as pl
from scipy.stats import t as student

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from benchmarks.measure import Row, run
from consensus.service import rules_from
from domain.settings import load_settings
from domain.voting import Outcome
from evaluation.decisions import executed_less_rejected, shares
from evaluation.planted_rule import decided_on
from evaluation.worlds import World, edge_world, no_edge_world

SEEDS = range(51, 63)
SYMBOLS = tuple("ABCDEFGH")
DAYS, LIVE = 1_800, 270
WORLDS: dict[str, Callable[..., World]] = {"edge": edge_world, "no edge": no_edge_world}


def measure() -> list[Row]:
    rows: list[Row] = []
    for name, make in WORLDS.items():
        each = [decided(make(seed=seed, days=DAYS, symbols=SYMBOLS), seed) for seed in SEEDS]
        rows += _rows(name, each)
    return rows


def decided(world: World, seed: int, live_days: int = LIVE) -> pl.DataFrame:
    with tempfile.TemporaryDirectory(prefix="quorum-planted-") as home:
        settings = load_settings(home=Path(home), seed=seed, clock="event")
        return decided_on(
            world.bars,
            live_days=live_days,
            seed=seed,
            clock=EventClock(),
            metrics=PrometheusMetrics(),
            limits=settings.trading,
            serving=settings.serving,
            rules=rules_from(settings),
        )


def _rows(name: str, each: list[pl.DataFrame]) -> list[Row]:
    leads = [
        1e4 * executed_less_rejected(d, seed=1, horizon_days=5, resamples=2).estimate for d in each
    ]
    mean, count = fmean(leads), len(leads)
    half = float(student.ppf(0.975, count - 1)) * stdev(leads) / count**0.5
    spread = f"{count} seeds, {mean - half:+.0f} to {mean + half:+.0f}"
    together = pl.concat(each)
    counts = shares(together)
    earned: dict[str, float] = dict(
        together.group_by("outcome").agg(1e4 * pl.col("reward").mean()).iter_rows()
    )
    return [
        Row(
            figure=f"{name}: executed less rejected, mean of a proposal ({spread})",
            unit="bps", ours=mean,
        ),
        Row(
            figure=f"{name}: earned by what was executed, {counts.share(counts.executed):.0%} of "
            f"{counts.proposals:,} proposals",
            unit="bps", ours=earned[Outcome.EXECUTE],
            beside="by what was rejected", theirs=earned[Outcome.REJECT],
        ),
        Row(
            figure=f"{name}: for review, share of proposals",
            unit="%", ours=100 * counts.share(counts.review), beside="at most", theirs=25.0,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measure)
