"""Guardrails bet against their limits: seldom wrong however often looked at, soon right."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.settings import PromotionSettings
from evaluation.guardrails import FAMILY, EProcess, Guard, Guardrail, rejected

values = st.lists(st.floats(0, 1), max_size=40)


@given(values, st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1))
def test_at_the_limit_every_bet_is_fair(history, limit, low, high):
    # A coin of two faces whose mean is the limit: expected wealth is the present wealth.
    low, high = sorted((low * limit, limit + high * (1 - limit)))
    if high - low < 1e-6:
        return
    chance = (limit - low) / (high - low)

    def after(value):
        process = EProcess(limit)
        for seen in history:
            process.observe(seen)
        return process.value if value is None else process.observe(value)

    expected = chance * after(high) + (1 - chance) * after(low)
    assert expected == pytest.approx(after(None), rel=1e-9)


def test_wealth_by_hand():
    # At limit .5 a one multiplies the wealth of each bet by 1 + bet, a zero by 1 - bet.
    process = EProcess(0.5)
    process.observe(1.0)
    assert process.value == pytest.approx((1.05 + 1.1 + 1.25 + 1.5 + 1.9) / 5)
    process.observe(0.0)
    products = (1.05 * 0.95, 1.1 * 0.9, 1.25 * 0.75, 1.5 * 0.5, 1.9 * 0.1)
    assert process.value == pytest.approx(sum(products) / 5)


def test_false_alarms_are_rarer_than_declared_at_2_000_looks():
    rng = np.random.default_rng(30)
    alarms = 0
    for _ in range(200):
        process = EProcess(0.2)
        alarms += any(process.observe(float(x)) >= 20 for x in rng.random(1_000) < 0.2)
    assert alarms / 200 <= 0.05


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_rate_is_refused(wrong):
    with pytest.raises(InvalidValue):
        EProcess(0.5).observe(wrong)
    with pytest.raises(InvalidValue):
        EProcess(wrong)


@given(st.lists(st.floats(0, 10_000), max_size=6), st.floats(0.01, 0.2))
def test_e_bh_is_its_definition(e_values, alpha):
    # The largest set each of whose members has e >= family / (alpha * size), found by trying all.
    best = 0
    for size in range(1, len(e_values) + 1):
        if any(
            all(e >= FAMILY / (alpha * size) for e in chosen)
            for chosen in combinations(e_values, size)
        ):
            best = size
    found = rejected(e_values, alpha)
    assert len(found) == best
    if found:
        assert min(e_values[i] for i in found) >= max(
            (e for i, e in enumerate(e_values) if i not in found), default=0
        )


def test_e_bh_printed_example():
    # alpha .05, family 4: 80 / k each. 85 alone; with 45 and 41, two of 40 would do.
    assert rejected([85.0, 1.0, 1.0, 1.0], 0.05, family=4) == [0]
    assert rejected([45.0, 41.0, 1.0, 1.0], 0.05, family=4) == [0, 1]
    assert rejected([45.0, 39.0, 1.0, 1.0], 0.05, family=4) == []


def guard(**policy) -> Guard:
    return Guard(PromotionSettings(**policy), maximum_drawdown=0.1)


def test_a_version_that_only_fails_is_found_within_five_votes():
    watched = guard()
    found = [watched.observe(Guardrail.ERRORS, 1.0) for _ in range(5)]
    breach = next(b for b in found if b)
    assert (breach.guardrail, breach.limit) == (Guardrail.ERRORS, 0.02)
    assert "guardrail on errors is breached" in breach.reason
    assert breach.e_value >= breach.needed


def test_one_failure_in_a_hundred_is_none():
    watched = guard()
    assert not any(watched.observe(Guardrail.ERRORS, float(i % 100 == 0)) for i in range(1, 2_000))


def test_a_fall_of_equity_beyond_the_limit_is_a_breach_at_once():
    watched = guard()
    assert watched.observe_equity(100.0) is None
    assert watched.observe_equity(120.0) is None
    assert watched.observe_equity(108.1) is None
    assert watched.observe_equity(107.9).guardrail is Guardrail.DRAWDOWN


def test_all_agents_and_metrics_together_keep_the_declared_share_of_false_alarms():
    # Everything exactly at its limit, all at once: a rollback in any of 60 worlds would be false.
    rng = np.random.default_rng(31)
    policy = PromotionSettings(guard_alpha=0.05)
    limits = {
        Guardrail.ERRORS: policy.maximum_error_rate,
        Guardrail.LATENCY: policy.maximum_late_rate,
        Guardrail.LIMITS: policy.maximum_breach_rate,
    }
    false = 0
    for _ in range(60):
        watched = Guard(policy, 0.5)
        draws = {name: rng.random(300) < limit for name, limit in limits.items()}
        false += any(
            watched.observe(name, float(draws[name][i])) for i in range(300) for name in limits
        )
    assert false / 60 <= 0.05
