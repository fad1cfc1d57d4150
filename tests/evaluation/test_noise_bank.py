"""What has no skill passes the gate in at most 5 % of cases, and what has some can pass."""

import numpy as np

from evaluation.noise_bank import bank, passing

SEEDS = range(8)


def test_of_200_random_strategies_and_of_the_best_of_them_at_most_one_in_twenty_passes():
    found = [passing(bank(seed), seed) for seed in SEEDS]
    assert sum(f.passed for f in found) / sum(f.strategies for f in found) <= 0.05
    assert not any(f.best_passed for f in found)


def test_a_strategy_alone_in_the_ledger_passes_by_luck_in_at_most_one_case_of_twenty():
    passed = [passing(bank(seed, strategies=1, periods=150), seed).passed for seed in range(120)]
    # The binomial error of 120 cases is 2 points.
    assert np.mean(passed) <= 0.05


def test_the_gate_is_no_wall_a_true_edge_among_the_noise_passes():
    gains = bank(1)
    gains[:, 17] += 0.3 * gains[:, 17].std()
    found = passing(gains, 1)
    assert found.best_passed
    assert found.passed == 1


def test_a_bank_knows_nothing_of_its_market():
    means = np.concatenate([bank(seed).mean(axis=0) / bank(seed).std(axis=0) for seed in (1, 2)])
    assert abs(means.mean()) < 0.02
    assert bank(1).tobytes() == bank(1).tobytes()
