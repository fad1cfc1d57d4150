"""A split that is not as declared is found; one that is, is not, however often it is looked at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from domain.assignment import experiment_id, to_challenger
from domain.errors import InvalidValue
from evaluation.sample_ratio import sample_ratio

EXPERIMENT = experiment_id("execution", 3, 2)
#: Of the decisions d0 … d59, those that a quarter of all gave to the challenger.
KNOWN = [0, 2, 10, 18, 24, 26, 27, 30, 37, 40, 44, 45, 47, 50]


@given(st.lists(st.booleans(), max_size=60), st.sampled_from([0.05, 0.25, 0.5]))
def test_p_value_is_the_smallest_inverse_bayes_factor(split, share):
    factors = [1.0]
    for n in range(1, len(split) + 1):
        k = sum(split[:n])
        whole = betabinom.pmf(k, n, 100 * share, 100 * (1 - share)) / binom.pmf(k, n, share)
        factors.append(whole)
    assert sample_ratio(split, share).p_value == pytest.approx(1 / max(factors), rel=1e-6)


@pytest.mark.parametrize("per_cent", [5, 25, 50])
def test_the_assignment_splits_as_declared(per_cent):
    split = [to_challenger(EXPERIMENT, f"decision {i}", per_cent) for i in range(20_000)]
    assert np.mean(split) == pytest.approx(per_cent / 100, abs=0.012)
    assert not sample_ratio(split, per_cent / 100).mismatch


def test_false_alarms_at_every_look_are_rarer_than_one_in_a_hundred():
    rng = np.random.default_rng(32)
    alarms = [sample_ratio(rng.random(400) < 0.25, 0.25).mismatch for _ in range(300)]
    assert np.mean(alarms) <= 0.01


def test_a_challenger_that_loses_a_third_of_its_votes_is_found():
    rng = np.random.default_rng(33)
    found = sample_ratio(rng.random(2_000) < 0.25 * 2 / 3, 0.25)
    assert found.mismatch
    assert "does not fit the 25% declared" in found.reason


@given(st.text(), st.sampled_from([0, 5, 25, 50, 100]))
def test_the_same_decision_is_always_assigned_alike_and_stays_at_larger_shares(decision, per_cent):
    mine = to_challenger(EXPERIMENT, decision, per_cent)
    assert mine == to_challenger(EXPERIMENT, decision, per_cent)
    assert not mine or all(to_challenger(EXPERIMENT, decision, p) for p in (per_cent, 100))
    assert to_challenger(EXPERIMENT, decision, 100)
    assert not to_challenger(EXPERIMENT, decision, 0)


def test_assignments_are_those_of_every_release():
    # Written down once: a change of the hash would tear running experiments.
    assert [i for i in range(60) if to_challenger(EXPERIMENT, f"d{i}", 25)] == KNOWN


def test_experiments_are_assigned_apart():
    other = experiment_id("execution", 4, 3)
    both = [
        (to_challenger(EXPERIMENT, f"{i}", 50), to_challenger(other, f"{i}", 50))
        for i in range(4_000)
    ]
    assert abs(np.corrcoef(np.array(both, dtype=float).T)[0, 1]) < 0.05


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_a_split_there_is_nothing_to_judge(share):
    with pytest.raises(InvalidValue, match="splits nothing"):
        sample_ratio([], share)
