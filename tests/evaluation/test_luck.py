"""Each check says what its statistic says, and what can't be told is inconclusive."""

import numpy as np
import pytest

from domain.errors import InvalidValue
from evaluation import luck
from evaluation.gate import CheckOutcome
from evaluation.significance import probabilistic_sharpe_ratio

RNG = np.random.default_rng(1)
PASS, FAIL, OPEN = CheckOutcome.PASS, CheckOutcome.FAIL, CheckOutcome.INCONCLUSIVE


def contest(mean=0.3, periods=120, trials=3, columns=3, seed=2):
    gains = np.random.default_rng(seed).normal(0, 1, (periods, columns))
    gains[:, 0] += mean
    return luck.Contest(gains, {"cash": gains, "the incumbent": gains}, trials, seed=1)


def outcomes(found):
    return {check.name: check.outcome for check in luck.luck_checks(found, 0)}


def test_skill_passes_every_check():
    assert set(outcomes(contest(0.6)).values()) == {PASS}


def test_no_skill_passes_none():
    assert set(outcomes(contest(-0.1)).values()) == {FAIL}


def test_few_periods_settle_nothing_but_the_length():
    found = outcomes(contest(0.6, periods=20))
    assert found.pop("minimum back-test length") is PASS
    assert set(found.values()) == {OPEN}


def test_the_same_gain_is_worth_less_the_more_was_tried():
    values = [luck.deflated_check(contest(0.25, trials=n), 0).value for n in (3, 30, 300)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.8 > values[-1]
    lengths = [luck.length_check(contest(0.25, trials=n), 0).threshold for n in (3, 300)]
    assert float(lengths[0][2:]) < float(lengths[1][2:])


def test_the_probability_is_of_raw_kurtosis_and_of_sharpe_per_period():
    found = contest(0.2)
    gains = found.gains[:, 0]
    sharpe = gains.mean() / gains.std(ddof=1)
    centred = (gains - gains.mean()) / gains.std()
    expected = probabilistic_sharpe_ratio(sharpe, 120, (centred**3).mean(), (centred**4).mean())
    assert luck.sharpe_check(found, 0).value == pytest.approx(expected, abs=1e-6)


def test_few_trials_are_not_taken_for_a_small_spread():
    alike = np.repeat(contest(0.2).gains[:, :1], 3, axis=1)
    found = luck.Contest(alike, {}, 3, seed=1)
    assert found.trial_variance == 1 / 119


def test_a_candidate_that_is_the_incumbent_gains_nothing():
    same = luck.Contest(np.zeros((100, 1)), {"the incumbent": np.zeros((100, 1))}, 2, seed=1)
    found = outcomes(same)
    assert found.pop("probability of overfitting") is OPEN
    assert set(found.values()) == {FAIL}


def test_the_hardest_benchmark_decides():
    gains = contest(0.6).gains
    found = luck.Contest(gains, {"easy": gains, "hard": gains - 1.0}, 3, seed=1)
    check = luck.ability_check(found, 0)
    assert check.outcome is FAIL
    assert "hard" in check.sentence
    none = luck.Contest(gains, {}, 3, seed=1)
    assert luck.ability_check(none, 0).outcome is OPEN


def test_overlapping_horizons_count_once():
    daily = np.arange(13.0)
    assert luck.apart(daily, 5).tolist() == [5.0, 10.0]
    assert luck.apart(np.column_stack([daily, -daily]), 5).tolist() == [[5.0, -5.0], [10.0, -10.0]]
    assert luck.apart(daily, 1).tolist() == daily.tolist()


@pytest.mark.parametrize(
    ("gains", "benchmarks", "trials"),
    [
        (np.zeros(10), {}, 1),
        (np.zeros((10, 2)), {"b": np.zeros((10, 3))}, 2),
        (np.zeros((10, 2)), {}, 1),
    ],
)
def test_what_does_not_pair_up_is_refused(gains, benchmarks, trials):
    with pytest.raises(InvalidValue):
        luck.Contest(gains, benchmarks, trials, seed=1)
