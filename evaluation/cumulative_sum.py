"""Notice that an edge has ended: Page's cumulative sum test (Page, 1954).

What is earned each day is held against what was validated. The sum of the shortfalls below half
of that, never less than zero, drifts down while the edge is there and up at the same pace once it
is gone. The alarm comes when it passes a limit, which follows from how rarely a false one may
come: the average run length of the test, by Siegmund's (1985) approximation

    ARL(δ) = (exp(-2 δ b) - 1 + 2 δ b) / (2 δ²),    b = limit + 1.166,

with δ the mean of a step in its standard deviations: -k while the edge lasts, k after its end.
"""

import math

import numpy as np

from domain.errors import InvalidValue
from domain.messages import Value
from evaluation.arrays import Series, finite

_OVERSHOOT = 1.166
_HALVINGS = 60


class Watch(Value, frozen=True, kw_only=True):
    """A test made for an edge of `mean` a day with standard deviation `deviation`.

    Parameters
    ----------
    limit
        In standard deviations.
    days_between_false_alarms, days_to_notice
        Average run lengths while the edge lasts, and from its end on.
    """

    mean: float
    deviation: float
    limit: float
    days_between_false_alarms: float
    days_to_notice: float


class Alarm(Value, frozen=True, kw_only=True):
    """What a watch says: the first day (0, 1 …) of alarm, or None; and the sum there."""

    day: int | None
    statistic: float
    limit: float
    reason: str


def run_length(step: float, limit: float) -> float:
    """Return the average number of days to an alarm for steps of mean `step` (δ)."""
    reach = limit + _OVERSHOOT
    if abs(step) < 1e-9:
        return reach**2
    return (math.exp(-2.0 * step * reach) - 1.0 + 2.0 * step * reach) / (2.0 * step**2)


def watch(mean: float, deviation: float, *, days_between_false_alarms: float = 2_520.0) -> Watch:
    """Return the test for a validated edge; by default a false alarm in ten years.

    Raises
    ------
    InvalidValue
        If there is no edge to watch.
    """
    if not (mean > 0 and deviation > 0 and days_between_false_alarms > 1):
        raise InvalidValue(
            f"A mean of {mean} with deviation {deviation} is no edge to watch.",
            next_step="Watch what was validated to earn something.",
        )
    step = mean / (2.0 * deviation)
    lowest, limit = 0.0, 1.0
    while run_length(-step, limit) < days_between_false_alarms:
        lowest, limit = limit, 2.0 * limit
    for _ in range(_HALVINGS):
        middle = (lowest + limit) / 2.0
        if run_length(-step, middle) < days_between_false_alarms:
            lowest = middle
        else:
            limit = middle
    return Watch(
        mean=mean,
        deviation=deviation,
        limit=limit,
        days_between_false_alarms=run_length(-step, limit),
        days_to_notice=run_length(step, limit),
    )


def watched(test: Watch, earned: Series) -> Alarm:
    """Return when `test` gives the alarm on what was earned day by day."""
    values = finite(earned, "earned")
    walk = np.cumsum((test.mean / 2.0 - values) / test.deviation)
    # The sum that never falls below zero is the walk above its lowest point so far.
    sums = walk - np.minimum(np.minimum.accumulate(walk), 0.0)
    above = np.flatnonzero(sums > test.limit)
    day = int(above[0]) if len(above) else None
    statistic = float(sums[len(sums) - 1 if day is None else day]) if len(sums) else 0.0
    told = (
        f"{len(values)} days give no reason to doubt the edge"
        if day is None
        else f"On day {day + 1} what was earned had fallen short of the edge"
    )
    reason = f"{told}: sum {statistic:.1f} of {test.limit:.1f} deviations allowed."
    return Alarm(day=day, statistic=statistic, limit=test.limit, reason=reason)
