"""Peeking after every observation keeps the error rate; a z test does not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from evaluation.sequential import (
    Verdict,
    compare,
    confidence_sequence,
    fixed_sample_size,
    mixture_radius,
    planned_horizon,
    running_variance,
)
from evaluation.significance import long_run_variance

STREAMS, LENGTH = 1_000, 1_000


def _autocorrelated(noise, rho=0.3):
    x = np.empty_like(noise)
    x[:, 0] = noise[:, 0] / math.sqrt(1 - rho**2)
    for t in range(1, noise.shape[1]):
        x[:, t] = rho * x[:, t - 1] + noise[:, t]
    return x


def _equal_pairs(kind):
    rng = np.random.default_rng(20)
    shape = (STREAMS, LENGTH)
    match kind:
        case "normal":
            return rng.normal(size=shape)
        case "t(3)":
            return rng.standard_t(3, size=shape)
        case "AR(1)":
            return _autocorrelated(rng.normal(size=shape))
        case "AR(1), t(3)":
            return _autocorrelated(rng.standard_t(3, size=shape))
    whole = rng.normal(size=(STREAMS, LENGTH + 4))  # five-day outcomes, observed daily
    return sum(whole[:, i : i + LENGTH] for i in range(5))


@pytest.mark.parametrize("kind", ["normal", "t(3)", "AR(1)", "AR(1), t(3)", "overlapping"])
def test_equal_models_are_promoted_in_at_most_5_percent_of_streams(kind):
    differences = _equal_pairs(kind)
    limits = confidence_sequence(differences, overlap=5 if kind == "overlapping" else 1)
    promoted = np.mean(np.any(limits.lower > 0, axis=1))
    assert promoted <= 0.05


def test_a_z_test_that_is_peeked_at_promotes_far_too_often():
    differences = _equal_pairs("normal")
    t = np.arange(1, LENGTH + 1)
    z = np.cumsum(differences, axis=1) / np.sqrt(t)
    assert np.mean(np.any(z[:, 29:] > 1.645, axis=1)) > 0.25


@pytest.mark.parametrize(
    ("kind", "scale", "rho"),
    [
        ("normal", 1.0, 0.0),
        ("t(3)", math.sqrt(3), 0.0),
        ("AR(1)", 1 / math.sqrt(1 - 0.09), 0.3),
        ("AR(1), t(3)", math.sqrt(3 / (1 - 0.09)), 0.3),
    ],
)
def test_the_declared_effect_is_found_within_the_declared_horizon(kind, scale, rho):
    horizon = planned_horizon(0.2, autocorrelation=rho)
    differences = _equal_pairs(kind)[:, :horizon] / scale + 0.2
    limits = confidence_sequence(differences, horizon=horizon)
    assert np.mean(np.any(limits.lower > 0, axis=1)) >= 0.80
    assert np.mean(np.any(limits.upper < 0, axis=1)) < 0.005


def test_a_fixed_sample_is_the_textbook_s_size():
    # Two-sided 5 %, power 80 %: n = (1.96 + 0.84)² / effect²; Cohen (1988, table 2.4.1) rounds.
    assert fixed_sample_size(0.2) == 197
    assert fixed_sample_size(0.5) == 32
    assert fixed_sample_size(0.5, autocorrelation=0.5) == math.ceil(3 * 31.3955)


def test_looking_at_all_times_costs_less_than_twice_the_fixed_sample():
    assert fixed_sample_size(0.2) < planned_horizon(0.2) < 2 * fixed_sample_size(0.2)
    with pytest.raises(InvalidValue):
        planned_horizon(0.0)


def test_radius_is_the_closed_form():
    # ρ² = 1, one observation, α = 0.05: sqrt(2 · 2 · ln(√2 / 0.05)).
    horizon = -2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))
    radius = mixture_radius(np.array([horizon]), 0.05, 1)[0]
    scale = horizon * horizon + 1
    closed = math.sqrt(
        2 * scale / (horizon * horizon * horizon) * math.log(math.sqrt(scale) / 0.05)
    )
    assert radius == pytest.approx(closed)


def test_limits_are_narrowest_near_the_horizon():
    at = np.array([200.0])
    widths = {h: mixture_radius(at, 0.05, h)[0] for h in (20, 200, 2_000)}
    assert min(widths, key=widths.get) == 200


def test_running_variance_sees_only_the_past_and_ends_at_the_batch_formula():
    values = _equal_pairs("AR(1)")[0]
    whole, part = running_variance(values), running_variance(values[:400])
    assert whole[:400] == pytest.approx(part)
    bandwidth = math.floor(1.5 * 400 ** (1 / 3))
    batch = long_run_variance(values[:400], lags=bandwidth) * 400 / (400 - 2 * bandwidth - 1)
    assert part[-1] == pytest.approx(batch, rel=1e-9)


def test_running_variance_of_a_far_away_series_does_not_cancel():
    values = _equal_pairs("normal")[0][:100]
    assert running_variance(values + 1e6) == pytest.approx(running_variance(values), rel=1e-4)


def test_verdicts():
    rng = np.random.default_rng(22)
    noise = rng.normal(size=600)
    better, worse, equal = compare(noise + 0.5), compare(noise - 0.5), compare(noise[:200])
    assert (better.verdict, worse.verdict) == (Verdict.PROMOTE, Verdict.REFUSE)
    assert equal.verdict is Verdict.INCONCLUSIVE
    assert better.stopped_at < 600
    assert "the challenger is better" in better.reason
    assert better.lower > 0 > worse.upper


def test_an_effect_below_the_smallest_that_matters_is_refused():
    noise = np.random.default_rng(23).normal(size=2_000)
    assert compare(noise + 0.1, smallest_effect=0.5).verdict is Verdict.REFUSE


def test_too_few_observations_give_no_verdict():
    for few in ([], [5.0] * 29):
        result = compare(few)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.lower is None
    assert "fewer than the 30" in compare([5.0] * 29).reason
    assert "fewer than the 50" in compare([5.0] * 29, overlap=5).reason


def test_identical_models_are_never_promoted():
    assert compare([0.0] * 500).verdict is Verdict.INCONCLUSIVE


def test_senseless_alpha_is_refused():
    with pytest.raises(InvalidValue):
        compare([0.0] * 50, alpha=1.5)


@given(st.lists(st.floats(-1, 1), min_size=60, max_size=120), st.floats(0.01, 100))
def test_verdict_does_not_depend_on_the_unit(differences, unit):
    if np.ptp(differences) < 1e-3:
        return
    scaled = compare([d * unit for d in differences])
    assert scaled.verdict is compare(differences).verdict


@given(st.lists(st.floats(-1, 1), min_size=60, max_size=120))
def test_later_observations_do_not_take_a_verdict_back(differences):
    early = compare(differences[:60])
    if early.verdict is not Verdict.INCONCLUSIVE:
        assert compare(differences).stopped_at == early.stopped_at
