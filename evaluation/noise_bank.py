"""Strategies without any skill, to measure how often the gate lets one pass."""

from typing import NamedTuple

import numpy as np

from evaluation.arrays import Floats
from evaluation.gate import CheckOutcome, skill_check
from evaluation.luck import Contest, luck_checks


class Passed(NamedTuple):
    """How many of a bank's strategies pass: any of them, and the one that looks best."""

    strategies: int
    passed: int
    best_passed: bool


def bank(seed: int, *, strategies: int = 200, periods: int = 500) -> Floats:
    """Return periods × strategies: what random positions of -1, 0 or 1 earn on one random market.

    The market's returns have fat tails (Student's t, 5 degrees of freedom) and volatility that
    comes in waves; positions last 5 periods on average and know nothing.
    """
    rng = np.random.default_rng(seed)
    waves = np.exp(0.5 * np.convolve(rng.standard_normal(periods + 20), np.full(21, 21**-0.5)))
    market = 0.01 * waves[20 : periods + 20] * rng.standard_t(5, periods)
    positions = rng.integers(-1, 2, (periods, strategies)).astype(np.float64)
    kept = rng.random((periods, strategies)) > 0.2
    for period in range(1, periods):
        positions[period] = np.where(kept[period], positions[period - 1], positions[period])
    return positions * market[:, None]


def passing(gains: Floats, seed: int) -> Passed:
    """Judge every strategy of a bank as a candidate, the whole bank standing in the ledger.

    The incumbent and the benchmark are to do nothing.
    """
    count = gains.shape[1]
    contest = Contest(gains, {"doing nothing": gains}, trials=count, seed=seed)
    passed = [
        all(
            check.outcome is CheckOutcome.PASS
            for check in (
                skill_check(gains[:, candidate], metric="return"),
                *luck_checks(contest, candidate),
            )
        )
        for candidate in range(count)
    ]
    best = int(np.argmax(contest.sharpe))
    return Passed(count, sum(passed), passed[best])
