"""Does a served model still know what its confidence claims? An edge that ended is noticed.

A verdict with confidence c claims an edge of c - 1/2 over a coin. What it earned is 1/2 where it
proved right (`agents.verdicts`) and -1/2 where not. Claims hold while the earned follow the
claimed on average; `evaluation.cumulative_sum` tells when they no longer do. Outcomes of one
horizon overlap, so all verdicts whose outcomes came within one horizon are one observation.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import msgspec
import numpy as np

from agents.verdicts import proved_right
from domain.experience import Experience
from domain.messages import Value
from domain.voting import MILLION
from evaluation.arrays import Floats
from evaluation.cumulative_sum import watch, watched

#: Observations below which nothing can be said.
FEWEST_HORIZONS = 8
#: Trading days between two false alarms, on average: ten years.
_FALSE_ALARM_DAYS = 2_520.0


class ClaimedEdge(Value, frozen=True, kw_only=True):
    """What became of a model's claims since it serves.

    Parameters
    ----------
    verdicts, horizons
        Verdicts judged, and independent observations that they make.
    claimed, earned
        Mean confidence above one half, and mean share right above one half.
    ended
        Whether the edge is over, by the cumulative sum.
    statistic, limit
        The sum where it stands (or at its alarm) and where the alarm is, in deviations; 0 where
        it can't be tested.
    reason
        The finding in words.
    """

    verdicts: int
    horizons: int
    claimed: float
    earned: float
    ended: bool
    statistic: float
    limit: float
    reason: str


def claimed_edge(agent: str, label: str, experiences: Sequence[Experience]) -> ClaimedEdge:
    """Return how the verdicts that the model `label` of an agent gave have fared."""
    served = [e for e in experiences if e.model_versions.get(agent) == label]
    days = max((experience.horizon_days for experience in served), default=1)
    verdicts = 0
    claims: list[float] = []
    earned: list[float] = []
    for horizon in _horizons(served, days):
        judged = [
            (e.confidences_ppm[agent] / MILLION - 0.5, right - 0.5)
            for e in horizon
            if agent in e.scores and (right := proved_right(agent, e.scores[agent], e)) is not None
        ]
        if judged:
            verdicts += len(judged)
            claim, came = np.array(judged).mean(axis=0).tolist()
            claims.append(claim)
            earned.append(came)
    return _found(verdicts, np.array(claims), np.array(earned), _FALSE_ALARM_DAYS / days)


def _horizons(experiences: list[Experience], days: int) -> list[list[Experience]]:
    """Return the experiences by horizons of `days` instants that don't overlap, oldest first."""
    by_time = attrgetter("occurred_at")
    instants = [list(each) for _, each in groupby(sorted(experiences, key=by_time), key=by_time)]
    return [
        [experience for instant in instants[first : first + days] for experience in instant]
        for first in range(0, len(instants), days)
    ]


def _found(
    verdicts: int, claims: Floats, earned: Floats, horizons_between_false_alarms: float
) -> ClaimedEdge:
    horizons = len(claims)
    claimed, came = (float(each.mean()) if horizons else 0.0 for each in (claims, earned))
    found = ClaimedEdge(
        verdicts=verdicts,
        horizons=horizons,
        claimed=round(claimed, 6),
        earned=round(came, 6),
        ended=False,
        statistic=0.0,
        limit=0.0,
        reason=f"{horizons} horizons with verdicts, {FEWEST_HORIZONS} needed.",
    )
    deviation = float((earned - claims).std()) if horizons else 0.0
    if horizons < FEWEST_HORIZONS:
        return found
    if not (claimed > 0.0 and deviation > 0.0):
        return msgspec.structs.replace(found, reason="No edge was claimed that could end.")
    test = watch(claimed, deviation, days_between_false_alarms=horizons_between_false_alarms)
    # Held against each horizon's own claim: what a surer verdict promised more, it owes.
    alarm = watched(test, claimed + earned - claims)
    ended = alarm.day is not None
    return msgspec.structs.replace(
        found,
        ended=ended,
        statistic=round(alarm.statistic, 6),
        limit=round(alarm.limit, 6),
        reason=(
            f"Verdicts claim {0.5 + claimed:.1%} right and were right by {0.5 + came:.1%} over "
            f"{horizons} horizons: sum {alarm.statistic:.1f} of {alarm.limit:.1f} deviations "
            f"allowed{f', passed at horizon {alarm.day + 1}' if alarm.day is not None else ''}."
        ),
    )
