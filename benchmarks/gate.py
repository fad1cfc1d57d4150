"""The gate's statistics beside independent libraries, and how often what has no skill passes.

`arch` (Hansen's test) and `skfolio` (combinatorial purged cross-validation) are no dependencies:
where they are absent their rows are left out, and the reason printed.
"""

import sys
import time
from collections.abc import Callable
from math import sqrt

import numpy as np

from benchmarks.measure import Row, alternately, median, run
from evaluation import splits
from evaluation.noise_bank import bank, passing
from evaluation.overfitting import backtest_overfitting
from evaluation.superior_ability import superior_ability

_SEEDS, _ROUNDS = range(50), 5


def measure() -> list[Row]:
    return [_overfitting(), *_superior_ability(), *_cross_validation(), *_noise()]


def _overfitting() -> Row:
    trials = np.random.default_rng(1).normal(size=(1_000, 50))
    found = alternately({"ours": lambda: _seconds(lambda: backtest_overfitting(trials))}, _ROUNDS)
    return Row(
        figure="probability of overfitting: 12,870 splits of 1,000 × 50",
        unit="s",
        ours=median(found["ours"]),
        beside="at most",
        theirs=5.0,
    )


def _superior_ability() -> list[Row]:
    try:
        from arch.bootstrap import SPA  # noqa: PLC0415
    except ImportError:
        print("arch is not installed: Hansen's test is not compared.", file=sys.stderr)
        return []
    gains = np.random.default_rng(2).normal(0.05, 1, (500, 20))
    theirs = SPA(np.zeros(500), -gains, block_size=8, reps=1_000, seed=1)

    def peer() -> None:
        theirs.reset()
        theirs._simulated_vals = None  # noqa: SLF001 - or it answers from memory
        theirs.compute()

    def ours() -> None:
        superior_ability(gains, seed=1, block=8, studentised=False)

    peer()
    same = superior_ability(gains, seed=1, block=8, studentised=False)
    found = alternately({"ours": lambda: _seconds(ours), "arch": lambda: _seconds(peer)}, _ROUNDS)
    return [
        Row(figure="Hansen's p-value of 20 models, 500 periods, 1,000 resamples", unit="",
            ours=same.consistent, beside="arch, the same seed",
            theirs=float(theirs.pvalues["consistent"])),
        Row(figure="the same, time", unit="ms", ours=1e3 * median(found["ours"]),
            beside="arch", theirs=1e3 * median(found["arch"])),
    ]  # fmt: skip


def _cross_validation() -> list[Row]:
    try:
        from skfolio.model_selection import CombinatorialPurgedCV  # noqa: PLC0415
    except ImportError:
        print("skfolio is not installed: its splits are not compared.", file=sys.stderr)
        return []
    starts = np.arange(2_520)
    rows = np.zeros((len(starts), 1))
    theirs = CombinatorialPurgedCV(n_folds=10, n_test_folds=2, purged_size=5, embargo_size=5)

    def ours() -> list[splits.Split]:
        return list(splits.combinatorial(starts, starts + 5, groups=10, tests=2, embargo=5))

    pairs = zip(ours(), theirs.split(rows), strict=True)
    same = sum(
        np.array_equal(mine.training, training) and np.array_equal(mine.test, np.concatenate(test))
        for mine, (training, test) in pairs
    )
    found = alternately(
        {
            "ours": lambda: _seconds(ours),
            "skfolio": lambda: _seconds(lambda: list(theirs.split(rows))),
        },
        _ROUNDS,
    )
    return [
        Row(figure="combinatorial purged splits that are the same, of 45", unit="", ours=same,
            beside="skfolio", theirs=45),
        Row(figure="45 splits of ten years", unit="ms", ours=1e3 * median(found["ours"]),
            beside="skfolio", theirs=1e3 * median(found["skfolio"])),
    ]  # fmt: skip


def _noise() -> list[Row]:
    found = [passing(bank(seed), seed) for seed in _SEEDS]
    shares = np.array([each.passed / each.strategies for each in found])
    best = sum(each.best_passed for each in found)
    half = 1.96 * shares.std(ddof=1) / sqrt(len(shares))
    mean, count = float(shares.mean()), len(shares)
    interval = f"95% interval {max(0.0, mean - half):.4f} to {mean + half:.4f}"
    return [
        Row(figure=f"noise bank, 200 strategies × {count} seeds: share that passes ({interval})",
            unit="", ours=mean, beside="at most", theirs=0.05),
        Row(figure="noise bank: seeds whose best of 200 passes", unit=f"of {count}", ours=best,
            beside="at most", theirs=0.05 * count),
    ]  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    run(measure)
