"""Against a second way of computing it, the paper's count of splits, and planted truth."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from domain.errors import InvalidValue
from evaluation.overfitting import backtest_overfitting


def _by_the_paper(trials, blocks):
    """Steps 1 to 6 of section 3 of the paper, one split at a time."""
    parts = np.array_split(trials, blocks)
    logits = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        sharpe, other = (half.mean(0) / half.std(0, ddof=1) for half in (inside, outside))
        rank = stats.rankdata(other)[np.argmax(sharpe)] / (trials.shape[1] + 1)
        logits.append(math.log(rank / (1 - rank)))
    return np.array(logits)


@pytest.mark.parametrize("columns", [2, 3, 10])
def test_split_by_split_as_the_paper_says(columns):
    trials = np.random.default_rng(columns).normal(0.02, 1, (160, columns))
    found = backtest_overfitting(trials, blocks=8)
    assert found.logits == pytest.approx(_by_the_paper(trials, 8))
    assert found.probability == np.mean(found.logits <= 0)


def test_sixteen_blocks_give_the_printed_number_of_splits():
    # Bailey et al. (2017), section 3: "if S = 16, we will form 12,870 combinations".
    trials = np.random.default_rng(1).normal(size=(1_000, 50))
    assert len(backtest_overfitting(trials).logits) == 12_870


def test_choosing_among_noise_is_overfitting_and_among_skill_is_not():
    rng = np.random.default_rng(2)
    noise = [backtest_overfitting(rng.normal(size=(320, 20)), 8).probability for _ in range(60)]
    # The best of noise is as often below the median as above; the mean's error is about .03.
    assert np.mean(noise) == pytest.approx(0.5, abs=0.1)
    skilled = rng.normal(size=(320, 20))
    skilled[:, 7] += 0.4
    found = backtest_overfitting(skilled, 8)
    assert found.probability == 0.0
    assert set(found.chosen) == {7}


def test_best_in_sample_that_pays_back_outside_is_certain_overfitting():
    # Every trial's mean over all is zero: what it gains in one half it loses in the other.
    rng = np.random.default_rng(3)
    trials = rng.normal(size=(64, 12)) * 0.01
    trials -= trials.mean(axis=0)
    found = backtest_overfitting(trials, 8)
    assert found.probability > 0.95
    assert np.corrcoef(found.in_sample, found.out_of_sample)[0, 1] < 0


def test_scale_and_order_of_trials_do_not_matter():
    trials = np.random.default_rng(4).normal(size=(96, 6))
    found = backtest_overfitting(trials, 8)
    assert backtest_overfitting(1e4 * trials, 8).probability == found.probability
    assert backtest_overfitting(trials[:, ::-1], 8).probability == found.probability


def test_a_trial_that_never_moves_counts_as_no_skill():
    trials = np.column_stack([np.zeros(64), np.random.default_rng(5).normal(1, 1, 64)])
    assert backtest_overfitting(trials, 8).probability == 0.0


@pytest.mark.parametrize(
    ("trials", "blocks"),
    [
        (np.zeros((100, 1)), 8),
        (np.zeros((100, 2)), 7),
        (np.zeros((15, 2)), 8),
        (np.full((100, 2), np.nan), 8),
    ],
)
def test_what_cannot_be_told_is_refused(trials, blocks):
    with pytest.raises(InvalidValue):
        backtest_overfitting(trials, blocks)
