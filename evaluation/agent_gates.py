"""Which checks each agent's candidate has to pass: its own task first, then soundness.

Arrays are one row per sample, in the order of `timestamps`; `overlap` is the number of periods
that one sample's outcome spans. A candidate with an output that is not finite fails that check
and is not measured further. Callers add `latency_check` and `look_ahead_check`, then `judge`.
"""

from collections.abc import Sequence
from datetime import datetime

from evaluation import skill
from evaluation.arrays import Series
from evaluation.gate import (
    Check,
    CheckOutcome,
    calibration_check,
    coverage_check,
    finite_check,
    skill_check,
)


def market_analyst_checks(
    timestamps: Sequence[datetime],
    outcomes: Series,
    *,
    candidate: Series,
    incumbent: Series,
    seed: int,
    overlap: int = 1,
) -> list[Check]:
    """Judge probabilities of `outcomes` (0 or 1) by their Brier score and calibration."""
    sound = finite_check(candidate)
    if sound.outcome is not CheckOutcome.PASS:
        return [sound]
    better = skill.paired_skill(
        timestamps,
        skill.squared_error(incumbent, outcomes),
        skill.squared_error(candidate, outcomes),
    )
    return [
        skill_check(better, metric="Brier score", overlap=overlap),
        calibration_check(candidate, incumbent, outcomes, seed=seed, block=float(overlap)),
        sound,
    ]


def risk_manager_checks(
    timestamps: Sequence[datetime],
    realised_variance: Series,
    *,
    candidate: Series,
    incumbent: Series,
    returns: Series,
    value_at_risk: Series,
    level: float,
    overlap: int = 1,
) -> list[Check]:
    """Judge variance forecasts by QLIKE, and the candidate's value at risk by its coverage.

    Kupiec's test takes breaches as independent: pass `returns` and `value_at_risk` of one
    portfolio, without overlap.
    """
    sound = finite_check(candidate)
    if sound.outcome is not CheckOutcome.PASS:
        return [sound]
    better = skill.paired_skill(
        timestamps,
        skill.qlike(incumbent, realised_variance),
        skill.qlike(candidate, realised_variance),
    )
    return [
        skill_check(better, metric="QLIKE", overlap=overlap),
        coverage_check(returns, value_at_risk, level),
        sound,
    ]


def portfolio_optimizer_checks(
    timestamps: Sequence[datetime],
    *,
    candidate: Series,
    incumbent: Series,
) -> list[Check]:
    """Judge allocations by the log return that they earn after costs."""
    sound = finite_check(candidate)
    if sound.outcome is not CheckOutcome.PASS:
        return [sound]
    better = skill.paired_skill(
        timestamps, skill.negative_log_growth(incumbent), skill.negative_log_growth(candidate)
    )
    return [skill_check(better, metric="log return after costs"), sound]


def execution_checks(
    timestamps: Sequence[datetime],
    realised_cost: Series,
    *,
    candidate: Series,
    incumbent: Series,
) -> list[Check]:
    """Judge cost forecasts by their absolute error, in the unit of `realised_cost`."""
    sound = finite_check(candidate)
    if sound.outcome is not CheckOutcome.PASS:
        return [sound]
    better = skill.paired_skill(
        timestamps,
        skill.absolute_error(incumbent, realised_cost),
        skill.absolute_error(candidate, realised_cost),
    )
    return [skill_check(better, metric="absolute error of the cost forecast"), sound]
