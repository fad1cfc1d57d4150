"""Purging removes exactly what overlaps, and the combinations are those of the literature.

`skfolio` 1.12.2 gives the same rows: ``CombinatorialPurgedCV(n_folds=6, n_test_folds=2,
purged_size=3, embargo_size=2).split(np.zeros((120, 1)))``, whose fifth and last splits are below.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from evaluation import splits


@st.composite
def rows(draw):
    gaps = draw(st.lists(st.integers(0, 3), min_size=24, max_size=60))
    spans = draw(st.lists(st.integers(0, 6), min_size=len(gaps), max_size=len(gaps)))
    starts = np.cumsum(gaps)
    return starts, starts + np.array(spans)


def _overlaps(starts, ends, row, test):
    return any(starts[row] <= ends[t] and starts[t] <= ends[row] for t in test)


@given(rows(), st.integers(3, 5), st.integers(1, 2), st.integers(0, 4))
def test_purging_removes_exactly_the_overlapping_rows(drawn, groups, tests, embargo):
    starts, ends = drawn
    if len(np.unique(starts)) < groups:
        return
    for split in splits.combinatorial(starts, ends, groups=groups, tests=tests, embargo=embargo):
        blocks = np.split(split.test, np.flatnonzero(np.diff(split.test) > 1) + 1)
        reaches = [ends[block].max() for block in blocks]
        for row in set(range(len(starts))) - set(split.test.tolist()):
            purged = _overlaps(starts, ends, row, split.test)
            embargoed = any(reach < starts[row] <= reach + embargo for reach in reaches)
            assert (row in split.training) == (not purged and not embargoed)


@given(rows(), st.integers(1, 4), st.integers(0, 4))
def test_walking_forward_only_what_was_known_is_learned_from(drawn, folds, embargo):
    starts, ends = drawn
    if len(np.unique(starts)) < folds + 1:
        return
    tested = []
    for split in splits.walk_forward(starts, ends, folds=folds, embargo=embargo):
        begins = starts[split.test].min()
        known = [i for i in range(len(starts)) if ends[i] + embargo < begins]
        assert split.training.tolist() == known
        assert not splits.overlapping(starts, ends, split.test)[split.training].any()
        tested += split.test.tolist()
    assert tested == list(range(tested[0], len(starts)))


@given(rows(), st.integers(2, 6))
def test_rows_of_one_instant_stay_together(drawn, groups):
    starts, ends = drawn
    if len(np.unique(starts)) < groups:
        return
    for split in splits.combinatorial(starts, ends, groups=groups, tests=1):
        inside = np.isin(starts, starts[split.test])
        assert np.flatnonzero(inside).tolist() == split.test.tolist()


def test_rows_equal_skfolio():
    starts = np.arange(120)
    found = list(splits.combinatorial(starts, starts + 3, groups=6, tests=2, embargo=2))
    assert found[4].test.tolist() == [*range(20), *range(100, 120)]
    assert found[4].training.tolist() == list(range(25, 97))
    assert found[14].test.tolist() == list(range(80, 120))
    assert found[14].training.tolist() == list(range(77))
    assert [len(s.training) for s in found] == [
        75, 67, 67, 67, 72, 72, 64, 64, 69, 72, 64, 69, 72, 69, 77,
    ]  # fmt: skip


@pytest.mark.parametrize(("groups", "tests", "count"), [(6, 2, 5), (10, 2, 9), (10, 8, 36)])
def test_number_of_paths_as_printed(groups, tests, count):
    # López de Prado (2018), section 12.4: φ[N, k] = k/N · C(N, k); figure 12.1 has φ[6, 2] = 5.
    assert splits.path_count(groups, tests) == count
    table = splits.paths(groups, tests)
    assert table.max() + 1 == count
    assert all(sorted(column[column >= 0]) == list(range(count)) for column in table.T)


def test_paths_of_six_groups_as_printed():
    # López de Prado (2018), figure 12.2: which path each split's test of a group belongs to.
    assert (splits.paths(6, 2) + 1).T.tolist() == [
        [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 4, 5, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 0, 0, 4, 5, 0],
        [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 0, 4, 0, 5],
        [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 0, 4, 5],
    ]


@pytest.mark.parametrize(
    ("starts", "ends", "groups", "tests", "embargo"),
    [
        ([0, 1, 2], [0, 1, 1], 2, 1, 0),
        ([1, 0, 2], [1, 1, 2], 2, 1, 0),
        ([0, 1, 2], [0, 1, 2], 4, 1, 0),
        ([0, 1, 2], [0, 1, 2], 2, 2, 0),
        ([0, 1, 2], [0, 1, 2], 2, 0, 0),
        ([0, 1, 2], [0, 1, 2], 2, 1, -1),
        ([0, 1, 2], [0, 1], 2, 1, 0),
    ],
)
def test_what_cannot_be_split_is_refused(starts, ends, groups, tests, embargo):
    with pytest.raises(InvalidValue):
        list(
            splits.combinatorial(
                np.array(starts), np.array(ends), groups=groups, tests=tests, embargo=embargo
            )
        )
