"""Is a gain over the incumbent more than luck? Judged with all trials counted.

A gain is an incumbent's loss minus a model's own, so a series of gains is to a forecaster what a
series of active returns is to a trader: its mean over its deviation is a Sharpe ratio per period,
and what is known of Sharpe ratios, of choosing the best of many, and of back-tests too short
holds for it. Periods don't overlap (`apart`), since these formulas count independent ones.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from domain.errors import InvalidValue
from evaluation.arrays import Floats
from evaluation.gate import MINIMUM_INSTANTS, Check, CheckOutcome, check
from evaluation.overfitting import Overfitting, backtest_overfitting
from evaluation.significance import (
    deflated_sharpe_ratio,
    kurtosis,
    minimum_backtest_length,
    skewness,
)
from evaluation.superior_ability import SuperiorAbility, superior_ability

PROBABILITY = 0.95
OVERFITTING = 0.2
P_VALUE = 0.05
#: Blocks of the probability of overfitting, and the fewest periods that one of them may have.
_BLOCKS, _BLOCK_PERIODS = 16, 4


def apart(gains: Floats, overlap: int) -> Floats:
    """Return means over each `overlap` periods, along the first axis; the first ones are left out.

    What is gained over overlapping horizons is counted once.
    """
    whole = len(gains) // overlap * overlap
    kept = gains[len(gains) - whole :]
    return kept.reshape(-1, overlap, *gains.shape[1:]).mean(axis=1)


@dataclass(frozen=True)
class Contest:
    """Every comparable trial of one task on the same periods.

    Parameters
    ----------
    gains
        Periods × trials, over the incumbent.
    over_benchmarks
        Benchmark → periods × trials, over that benchmark.
    trials
        How many there ever were, comparable or not: N, from the trials ledger.
    seed
        Of the bootstrap.
    """

    gains: Floats
    over_benchmarks: Mapping[str, Floats]
    trials: int
    seed: int

    def __post_init__(self) -> None:
        shapes = {gains.shape for gains in (self.gains, *self.over_benchmarks.values())}
        if self.gains.ndim != 2 or len(shapes) != 1 or self.trials < self.gains.shape[1]:
            raise InvalidValue(
                "A contest needs periods × trials, the same for all benchmarks, and no more "
                "trials than the ledger has.",
                next_step="Pair the series, and count the trials in the ledger.",
            )

    @property
    def periods(self) -> int:
        """Number of periods."""
        return len(self.gains)

    @cached_property
    def sharpe(self) -> Floats:
        """Sharpe ratio per period of each trial; 0 where it never differs from the incumbent."""
        deviation = self.gains.std(axis=0, ddof=1)
        moves = deviation > 1e-12 * (1e-300 + np.abs(self.gains).max(axis=0))
        return np.where(moves, self.gains.mean(axis=0) / np.where(moves, deviation, 1.0), 0.0)

    @cached_property
    def trial_variance(self) -> float:
        """Variance of the trials' Sharpe ratios, at least that of an estimate without skill.

        Few trials, or trials much alike, would else make the best of them look sure.
        """
        spread = float(self.sharpe.var(ddof=1)) if len(self.sharpe) > 1 else 0.0
        return max(spread, 1.0 / (self.periods - 1))

    @cached_property
    def overfitting(self) -> Overfitting | None:
        """Of choosing among the trials and the incumbent.

        None where no trial differs from the incumbent, or periods are too few to be cut up.
        """
        blocks = min(_BLOCKS, self.periods // _BLOCK_PERIODS // 2 * 2)
        with_incumbent = np.column_stack([np.zeros(self.periods), self.gains])
        different = np.unique(with_incumbent, axis=1)
        if blocks < 4 or different.shape[1] < 2:
            return None
        return backtest_overfitting(different, blocks)

    @cached_property
    def abilities(self) -> Mapping[str, SuperiorAbility]:
        """Benchmark → the test of all trials against it."""
        block = max(2.0, self.periods ** (1 / 3))
        return {
            name: superior_ability(gains, seed=self.seed, block=block)
            for name, gains in self.over_benchmarks.items()
        }


def luck_checks(contest: Contest, candidate: int) -> list[Check]:
    """Return the checks of the trial in column `candidate`; inconclusive below 30 periods."""
    return [
        sharpe_check(contest, candidate),
        deflated_check(contest, candidate),
        overfitting_check(contest),
        length_check(contest, candidate),
        ability_check(contest, candidate),
    ]


def sharpe_check(contest: Contest, candidate: int) -> Check:
    """Ask whether its Sharpe ratio over the incumbent is truly above zero."""
    name, threshold = "probabilistic Sharpe ratio", f"≥ {PROBABILITY}"
    if contest.periods < MINIMUM_INSTANTS:
        return _too_short(name, threshold, contest)
    value = _probability(contest, candidate)
    says = (
        f"With probability {value:.3f} it truly gains over the incumbent: "
        f"{contest.sharpe[candidate]:+.3f} deviations a period over {contest.periods} periods."
    )
    return check(name, value, threshold, _at_least(value, PROBABILITY), says)


def deflated_check(contest: Contest, candidate: int) -> Check:
    """Ask the same of what is left after the best that luck shows in so many trials."""
    name, threshold = "deflated Sharpe ratio", f"≥ {PROBABILITY}"
    if contest.periods < MINIMUM_INSTANTS:
        return _too_short(name, threshold, contest)
    value = _probability(contest, candidate, contest.trials)
    says = (
        f"With probability {value:.3f} it gains more than the best of {contest.trials} trials "
        "in the ledger would by luck."
    )
    return check(name, value, threshold, _at_least(value, PROBABILITY), says)


def _probability(contest: Contest, candidate: int, trials: int = 1) -> float:
    gains, sharpe = contest.gains[:, candidate], float(contest.sharpe[candidate])
    if sharpe == 0.0:
        return 0.0
    value = deflated_sharpe_ratio(
        sharpe,
        contest.periods,
        skewness(gains),
        kurtosis(gains),
        trials=trials,
        trial_variance=contest.trial_variance,
    )
    return 0.0 if math.isnan(value) else value


def overfitting_check(contest: Contest) -> Check:
    """Ask whether the trial that is best on half of the time is good on the other half."""
    name, threshold = "probability of overfitting", f"≤ {OVERFITTING}"
    if contest.periods < MINIMUM_INSTANTS:
        return _too_short(name, threshold, contest)
    found = contest.overfitting
    if found is None:
        says = "There is nothing to choose from: no trial differs from the incumbent."
        return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, says)
    count = len(found.logits)
    says = (
        f"The best of one half of the time is below the median in the other half in "
        f"{found.probability:.0%} of {count:,} splits."
    )
    outcome = CheckOutcome.PASS if found.probability <= OVERFITTING else CheckOutcome.FAIL
    return check(name, found.probability, threshold, outcome, says)


def length_check(contest: Contest, candidate: int) -> Check:
    """Ask whether the back-test is long enough for what it shows, after so many trials."""
    needed = minimum_backtest_length(float(contest.sharpe[candidate]), contest.trials)
    threshold = f"≥ {needed:.0f}" if math.isfinite(needed) else "a gain"
    says = (
        f"{contest.periods} periods, where luck alone shows as much in the best of "
        f"{contest.trials} trials in {needed:.0f}."
        if math.isfinite(needed)
        else "No back-test is long enough for a candidate that gains nothing."
    )
    outcome = CheckOutcome.PASS if contest.periods >= needed else CheckOutcome.FAIL
    return check("minimum back-test length", contest.periods, threshold, outcome, says)


def ability_check(contest: Contest, candidate: int) -> Check:
    """Ask whether it beats every benchmark, counting all the trials (Hansen's test)."""
    name, threshold = "superior predictive ability", f"p ≤ {P_VALUE}"
    if contest.periods < MINIMUM_INSTANTS:
        return _too_short(name, threshold, contest)
    found = {b: float(a.model_p_values[candidate]) for b, a in contest.abilities.items()}
    if not found:
        return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, "There is no benchmark.")
    hardest = max(found, key=lambda benchmark: found[benchmark])
    says = (
        f"Hardest to beat of {len(found)} benchmarks is {hardest} (Hansen's p = "
        f"{found[hardest]:.3f} with {contest.gains.shape[1]} trials compared)."
    )
    outcome = CheckOutcome.PASS if found[hardest] <= P_VALUE else CheckOutcome.FAIL
    return check(name, found[hardest], threshold, outcome, says)


def _too_short(name: str, threshold: str, contest: Contest) -> Check:
    says = f"{contest.periods} periods are fewer than the {MINIMUM_INSTANTS} that this needs."
    return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, says)


def _at_least(value: float, least: float) -> CheckOutcome:
    return CheckOutcome.PASS if value >= least else CheckOutcome.FAIL
