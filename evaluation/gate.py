"""The gate before any live vote: a candidate is refused until it is shown to be better.

A gate is a list of checks, each with its value, threshold, outcome and one sentence. All must
pass; what can't be told counts against the candidate, and the incumbent (at first the classic
policy) stays.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np

from domain.messages import Value
from domain.voting import AgentId
from evaluation.arrays import Series, finite
from evaluation.calibration import brier_score, measure_interval
from evaluation.significance import hac_interval

MINIMUM_INSTANTS = 30


class CheckOutcome(StrEnum):
    """What one check says."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class GateVerdict(StrEnum):
    """What the gate says."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class Check(Value, frozen=True, kw_only=True):
    """One check; `value` is None where it can't be measured."""

    name: str
    value: float | None
    threshold: str
    outcome: CheckOutcome
    sentence: str


class GateReport(Value, frozen=True, kw_only=True):
    """The verdict on one candidate with the checks it rests on."""

    agent_id: AgentId
    candidate: str
    incumbent: str
    verdict: GateVerdict
    reason: str
    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        """Whether the candidate may vote."""
        return self.verdict is GateVerdict.ACCEPTED

    def to_json(self) -> bytes:
        """Return indented JSON with the fields in their order; the same for equal reports."""
        return msgspec.json.format(msgspec.json.encode(self))


def judge(agent_id: AgentId, candidate: str, incumbent: str, checks: Sequence[Check]) -> GateReport:
    """Give the verdict: accepted only if there are checks and every one passes."""
    failed = [c for c in checks if c.outcome is CheckOutcome.FAIL]
    open_ones = [c for c in checks if c.outcome is CheckOutcome.INCONCLUSIVE]
    if not checks:
        reason = "Nothing was checked"
    elif failed or open_ones:
        first = (failed or open_ones)[0]
        kind = "failed" if failed else "could not be settled"
        count = len(failed or open_ones)
        reason = f"{count} of {len(checks)} checks {kind}, first {first.name}: {first.sentence}"
    else:
        return GateReport(
            agent_id=agent_id,
            candidate=candidate,
            incumbent=incumbent,
            verdict=GateVerdict.ACCEPTED,
            reason=f"All {len(checks)} checks passed; {candidate} is better than {incumbent}.",
            checks=tuple(checks),
        )
    return GateReport(
        agent_id=agent_id,
        candidate=candidate,
        incumbent=incumbent,
        verdict=GateVerdict.REFUSED,
        reason=f"{reason.rstrip('.')}. {incumbent} stays.",
        checks=tuple(checks),
    )


def skill_check(skill: Series, *, metric: str, confidence: float = 0.95, overlap: int = 1) -> Check:
    """Ask whether the candidate is better at its task, with confidence.

    `skill` is the paired skill per instant (`evaluation.skill.paired_skill`); `overlap` the
    periods that one sample's outcome spans. Passes if the whole HAC interval lies above zero,
    fails if none of it does, and is inconclusive between or below 30 instants.
    """
    d = finite(skill, "skill")
    mean, lower, upper, _ = hac_interval(d, confidence, lags=lags_of(len(d), overlap))
    if len(d) < MINIMUM_INSTANTS:
        outcome = CheckOutcome.INCONCLUSIVE
        says = f"{len(d)} instants are fewer than the {MINIMUM_INSTANTS} that a judgement needs."
    else:
        limits = f"{mean:+.4g} ({confidence:.0%} interval {lower:+.4g} to {upper:+.4g})"
        if lower > 0:
            outcome, what = CheckOutcome.PASS, "better than the incumbent"
        elif upper <= 0:
            outcome, what = CheckOutcome.FAIL, "not better than the incumbent"
        else:
            outcome, what = CheckOutcome.INCONCLUSIVE, "not shown to be better than the incumbent"
        says = f"The candidate is {what}: mean skill in {metric} {limits}, {len(d)} instants."
    return check("task skill", mean, "interval above 0", outcome, says)


def finite_check(outputs: Series) -> Check:
    """Ask whether every output of the candidate is a number."""
    values = np.asarray(outputs, dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    outcome = CheckOutcome.FAIL if bad or values.size == 0 else CheckOutcome.PASS
    says = f"{bad} of {values.size} outputs are not finite."
    return check("finite outputs", bad, "0", outcome, says)


def latency_check(seconds: Series, budget_seconds: float) -> Check:
    """Ask whether votes come in time: the 99th percentile of `seconds` within the budget."""
    times = finite(seconds, "latency")
    if len(times) == 0:
        return check(
            "latency", None, f"p99 ≤ {budget_seconds:g} s", CheckOutcome.INCONCLUSIVE, "Not timed."
        )
    slowest = float(np.quantile(times, 0.99))
    outcome = CheckOutcome.PASS if slowest <= budget_seconds else CheckOutcome.FAIL
    says = (
        f"The 99th percentile of one vote is {slowest:.3g} s of the {budget_seconds:g} s allowed."
    )
    return check("latency", slowest, f"p99 ≤ {budget_seconds:g} s", outcome, says)


def look_ahead_check(mismatches: int, compared: int) -> Check:
    """Ask whether recomputing features on truncated data gave the same rows."""
    if compared == 0:
        outcome, says = CheckOutcome.INCONCLUSIVE, "No row was recomputed on truncated data."
    else:
        outcome = CheckOutcome.FAIL if mismatches else CheckOutcome.PASS
        says = f"{mismatches} of {compared} rows change when later data is cut off."
    return check("look-ahead", mismatches, "0", outcome, says)


def calibration_check(
    candidate: Series,
    incumbent: Series,
    outcomes: Series,
    *,
    seed: int,
    tolerance: float = 0.005,
    block: float = 1.0,
) -> Check:
    """Ask whether the candidate's probabilities are no worse than the incumbent's.

    Passes if the candidate's Brier score is at most the incumbent's plus `tolerance`; the sentence
    also tells how high its bootstrap interval reaches.
    """
    limit = brier_score(incumbent, outcomes) + tolerance
    score, _, upper, _ = measure_interval(
        brier_score, candidate, outcomes, seed=seed, block=block, resamples=500
    )
    if math.isnan(score):
        outcome, says = CheckOutcome.INCONCLUSIVE, "There is no probability to judge."
    else:
        outcome = CheckOutcome.PASS if score <= limit else CheckOutcome.FAIL
        says = f"Brier score {score:.4f} (up to {upper:.4f}) against a limit of {limit:.4f}."
    return check("calibration", score, f"≤ {limit:.4f}", outcome, says)


def lags_of(observations: int, overlap: int) -> int | None:
    """Return the bandwidth: overlapping outcomes need one beyond the overlap, None is automatic."""
    return None if overlap <= 1 else min(2 * overlap, max(observations - 1, 0))


def check(
    name: str, value: float | None, threshold: str, outcome: CheckOutcome, sentence: str
) -> Check:
    """Return a check, its value rounded; None for a value that is no number."""
    measured = None if value is None or not math.isfinite(value) else round(float(value), 6)
    return Check(name=name, value=measured, threshold=threshold, outcome=outcome, sentence=sentence)
