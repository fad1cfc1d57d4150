"""Training and test rows that share no information: purged, embargoed, in order of time.

A row is known at its `start` and its label at its `end`. Two rows overlap where these closed
intervals do. Purging drops the training rows that overlap a test row; the embargo drops those
that start soon after a test block, whose features still carry it (López de Prado, "Advances in
Financial Machine Learning", 2018, chapters 7 and 12).

Instants are whole numbers of one unit (microseconds, or places in a list), in order; the embargo
is a span of that unit. Rows of one instant always stay together.
"""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidValue

Instants = NDArray[np.int64]
Rows = NDArray[np.int64]


class Split(NamedTuple):
    """Places of the training and of the test rows, in order; `groups` are the tested groups."""

    training: Rows
    test: Rows
    groups: tuple[int, ...]


def overlapping(starts: Instants, ends: Instants, test: Rows) -> NDArray[np.bool_]:
    """Tell for each row whether it overlaps one of the rows `test` (those themselves do)."""
    found = np.zeros(len(starts), dtype=np.bool_)
    for first, last in _blocks(test):
        found |= (starts <= ends[first:last].max()) & (ends >= starts[first])
    return found


def walk_forward(
    starts: Instants, ends: Instants, *, folds: int, embargo: int = 0
) -> Iterator[Split]:
    """Yield `folds` tests, one after another, each with all that was known before it began.

    The rows are cut into `folds` + 1 groups of equally many instants; the first is only learned
    from. A training row's label is known more than `embargo` before the test's first instant.
    """
    _check(starts, ends, folds + 1, embargo)
    group = groups_of(starts, folds + 1)
    for fold in range(1, folds + 1):
        test = np.flatnonzero(group == fold)
        known = np.flatnonzero(ends + embargo < starts[test[0]])
        yield Split(known, test, (fold,))


def combinatorial(
    starts: Instants, ends: Instants, *, groups: int, tests: int, embargo: int = 0
) -> Iterator[Split]:
    """Yield every choice of `tests` of `groups` groups as test, purged and embargoed.

    Splits come in the order of `itertools.combinations`; `paths` puts their tests together.
    """
    _check(starts, ends, groups, embargo)
    _check_tests(groups, tests)
    group = groups_of(starts, groups)
    for chosen in combinations(range(groups), tests):
        test = np.flatnonzero(np.isin(group, chosen))
        dropped = overlapping(starts, ends, test)
        for first, last in _blocks(test):
            over = ends[first:last].max()
            dropped |= (starts > over) & (starts <= over + embargo)
        dropped[test] = True
        yield Split(np.flatnonzero(~dropped), test, chosen)


def path_count(groups: int, tests: int) -> int:
    """Return the number of whole back-test paths: each group is tested that many times."""
    _check_tests(groups, tests)
    return comb(groups - 1, tests - 1)


def paths(groups: int, tests: int) -> NDArray[np.int64]:
    """Return splits × groups: the path that a split's test of a group belongs to, else -1.

    The first split that tests a group gives it to path 0, the next one to path 1, and so on.
    """
    _check_tests(groups, tests)
    tested = np.zeros((comb(groups, tests), groups), dtype=np.bool_)
    for row, chosen in enumerate(combinations(range(groups), tests)):
        tested[row, list(chosen)] = True
    return np.where(tested, np.cumsum(tested, axis=0) - 1, -1)


def _blocks(test: Rows) -> Iterator[tuple[int, int]]:
    """Yield the first place and the place after the last of each run of neighbours."""
    for run in np.split(test, np.flatnonzero(np.diff(test) > 1) + 1):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1


def groups_of(starts: Instants, groups: int) -> Rows:
    """Return each row's group: as many instants in each as in any other, give or take one."""
    instants, place = np.unique(starts, return_inverse=True)
    sizes = [len(part) for part in np.array_split(instants, groups)]
    return np.repeat(np.arange(groups), sizes)[place]


def _check(starts: Instants, ends: Instants, groups: int, embargo: int) -> None:
    if len(starts) != len(ends) or (np.diff(starts) < 0).any() or (ends < starts).any():
        raise InvalidValue(
            "Rows are in order of time, and no label is known before its row.",
            next_step="Sort the rows by their start and check their ends.",
        )
    if groups < 2 or embargo < 0 or len(np.unique(starts)) < groups:
        raise InvalidValue(
            f"{groups} groups and an embargo of {embargo} do not fit {len(starts)} rows.",
            next_step="Ask for two groups or more, an instant in each, and no negative embargo.",
        )


def _check_tests(groups: int, tests: int) -> None:
    if not 1 <= tests < groups:
        raise InvalidValue(
            f"{tests} of {groups} groups can't be tested.",
            next_step="Test one group or more, and leave one to learn from.",
        )
