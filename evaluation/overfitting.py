"""Does the best of many trials stay good? Probability of backtest overfitting by CSCV.

Combinatorially symmetric cross-validation (Bailey, Borwein, López de Prado & Zhu, "The
Probability of Backtest Overfitting", Journal of Computational Finance 20(4), 2017): time is cut
into an even number of blocks, each half of them is in sample once, and what matters is where the
trial that was best in sample ranks out of sample.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidValue
from evaluation.arrays import Floats

#: Sharpe ratios of a half that varies less than this (of its mean square) are taken as 0.
_NOISE = 1e-14


class Overfitting(NamedTuple):
    """What the splits say.

    Parameters
    ----------
    probability
        Share of splits whose best trial in sample is at or below the median out of sample.
    logits
        Log odds of its relative rank out of sample, one per split; below zero is overfitted.
    chosen
        The best trial in sample, one per split.
    in_sample, out_of_sample
        Sharpe ratio per period of that trial in either half.
    """

    probability: float
    logits: Floats
    chosen: NDArray[np.int64]
    in_sample: Floats
    out_of_sample: Floats


def backtest_overfitting(trials: Floats, blocks: int = 16) -> Overfitting:
    """Return the probability of backtest overfitting of choosing among `trials`.

    Parameters
    ----------
    trials
        Periods × trials: what each trial earned in each period. Rows beyond a multiple of
        `blocks` are left out at the beginning.
    blocks
        S of the paper, even; 16 gives 12,870 splits.

    Raises
    ------
    InvalidValue
        If there are fewer than two trials or two periods a block, a value is not finite, or
        `blocks` is odd.
    """
    _check(trials, blocks)
    length = len(trials) // blocks
    parts = trials[len(trials) - length * blocks :].reshape(blocks, length, -1)
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    halves = _halves(blocks)
    periods = length * blocks // 2
    # Every half is one of the splits, and so is the other half: it stands at the mirrored place.
    sharpe = _sharpe(halves @ sums, halves @ squares, periods)
    other = sharpe[::-1]
    chosen = np.argmax(sharpe, axis=1)
    every = np.arange(len(halves))
    best_outside = other[every, chosen]
    below = (other < best_outside[:, None]).sum(axis=1)
    equal = (other == best_outside[:, None]).sum(axis=1)
    relative_rank = (below + (equal + 1) / 2) / (trials.shape[1] + 1)
    logits = np.log(relative_rank / (1 - relative_rank))
    return Overfitting(
        probability=np.count_nonzero(logits <= 0) / len(logits),
        logits=logits,
        chosen=chosen,
        in_sample=sharpe[every, chosen],
        out_of_sample=best_outside,
    )


def _halves(blocks: int) -> Floats:
    """Return splits × blocks: 1 where a block is in sample."""
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    halves = np.zeros((len(chosen), blocks))
    np.put_along_axis(halves, chosen, 1.0, axis=1)
    return halves


def _sharpe(sums: Floats, squares: Floats, periods: int) -> Floats:
    mean = sums / periods
    variance = np.maximum(squares - periods * mean**2, 0.0) / (periods - 1)
    varies = variance > _NOISE * (squares / periods)
    return np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def _check(trials: Floats, blocks: int) -> None:
    if trials.ndim != 2 or trials.shape[1] < 2:
        raise InvalidValue(
            "Overfitting is a matter of choosing: there must be two trials or more.",
            next_step="Give periods × trials.",
        )
    if blocks < 2 or blocks % 2 or len(trials) < 2 * blocks:
        raise InvalidValue(
            f"{len(trials)} periods can't be cut into {blocks} blocks of two or more.",
            next_step="Use an even number of blocks, or more periods.",
        )
    if not np.isfinite(trials).all():
        raise InvalidValue(
            "What trials earned has values that are not finite.",
            next_step="Leave out the trials that failed; they still count as trials.",
        )
