"""Drawing again from what was observed, with the seed in the caller's hand."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidValue
from evaluation.arrays import Floats


def stationary_indices(
    observations: int,
    rng: np.random.Generator,
    block: float,
    shape: tuple[int, ...] | None = None,
) -> NDArray[np.int64]:
    """Return stationary-bootstrap samples of positions (Politis & Romano, 1994).

    Blocks have geometric lengths with mean `block` and wrap around the end; `block` 1 is the
    ordinary bootstrap. Each row of `shape` is a sample; by default there is one, as long as the
    observations.

    Raises
    ------
    InvalidValue
        If `block` is below one.
    """
    if not block >= 1:
        raise InvalidValue(f"A block of {block} periods.", next_step="Use a length of 1 or more.")
    wanted = (observations,) if shape is None else shape
    starts = rng.integers(0, observations, wanted)
    fresh = rng.random(wanted) < 1 / block
    fresh[..., 0] = True
    position = np.arange(wanted[-1])
    block_start = np.maximum.accumulate(np.where(fresh, position, 0), axis=-1)
    return (
        np.take_along_axis(starts, block_start, axis=-1) + position - block_start
    ) % observations


def stationary_counts(
    observations: int, rng: np.random.Generator, *, block: float, resamples: int
) -> Floats:
    """Return resamples × observations: how often each position is drawn in each sample."""
    counts = np.empty((resamples, observations))
    for row in counts:
        drawn = stationary_indices(observations, rng, block)
        row[:] = np.bincount(drawn, minlength=observations)
    return counts


def bootstrap_means(values: Floats, *, seed: int, block: float, resamples: int) -> Floats:
    """Return the means of `resamples` stationary-bootstrap samples of `values`."""
    rng = np.random.default_rng(seed)
    samples = (stationary_indices(len(values), rng, block) for _ in range(resamples))
    return np.array([float(np.mean(values[rows])) for rows in samples])


def samples_by_day(
    days: Sequence[object], *, seed: int, block: float, resamples: int
) -> Iterator[NDArray[np.int64]]:
    """Yield stationary-bootstrap samples of rows that keep the rows of a day together.

    `days` names each row's day, in any order; days are drawn in blocks of `block` of them on
    average, so rows that depend on each other within a day or from day to day stay side by side.
    """
    _, row_day = np.unique(np.asarray(days), return_inverse=True)
    by_day = np.argsort(row_day, kind="stable")
    counts = np.bincount(row_day)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = stationary_indices(len(counts), rng, block)
        ends = counts[drawn].cumsum()
        first = np.repeat(starts[drawn] - ends + counts[drawn], counts[drawn])
        yield by_day[first + np.arange(ends[-1])]
