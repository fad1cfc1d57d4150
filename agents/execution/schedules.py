"""Schedules: whole shares of a parent order in each bucket of the session.

Every schedule sums to its parent exactly. What is due by a bucket's end is the unrounded
schedule's sum so far, rounded: rounding never accumulates.
"""

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats
from domain.errors import InvalidValue

Shares = NDArray[np.int64]

#: Buckets a POV schedule may need before its rate is refused as too low.
_MOST_BUCKETS = 10_000


def whole_shares(quantity: int, weights: Floats) -> Shares:
    """Return `quantity` whole shares spread over buckets in proportion to `weights`.

    Raises
    ------
    InvalidValue
        If there is nothing to spread, or a weight is negative or not finite, or all are zero.
    """
    if quantity < 1:
        raise InvalidValue(
            f"A schedule of {quantity} shares.", next_step="Send a positive whole quantity."
        )
    checked = _volumes(weights, "weights")
    reached = np.cumsum(checked)
    due = np.rint(quantity * (reached / reached[-1])).astype(np.int64)
    return np.diff(due, prepend=0)


def twap(quantity: int, buckets: int) -> Shares:
    """Return a time-weighted schedule: the same in each of `buckets`, to a share."""
    return whole_shares(quantity, np.ones(max(buckets, 0)))


def vwap(quantity: int, volumes: Floats) -> Shares:
    """Return a volume-weighted schedule: in proportion to each bucket's expected volume."""
    return whole_shares(quantity, volumes)


def pov(quantity: int, volumes: Floats, rate: float) -> Shares:
    """Return a percentage-of-volume schedule: `rate` of each bucket's volume until done.

    Where a session ends first it goes on through further sessions like it, so there may be more
    buckets than volumes.

    Parameters
    ----------
    volumes
        Expected shares that trade in each bucket of a session.
    rate
        Share of the volume (0–1) that the order may be.

    Raises
    ------
    InvalidValue
        As `whole_shares`; or if the rate is outside 0–1 or takes forever.
    """
    if not 0.0 < rate <= 1.0:
        raise InvalidValue(
            f"A participation rate of {rate}.", next_step="Use a rate above 0 and up to 1."
        )
    session = _volumes(volumes, "volumes")
    sessions = int(np.ceil(quantity / (rate * session.sum())))
    if sessions * len(session) > _MOST_BUCKETS:
        raise InvalidValue(
            f"{quantity} shares at {rate:.2%} of {session.sum():.0f} a session need {sessions} "
            "sessions.",
            next_step="Raise the rate or trade less.",
        )
    reached = np.minimum(rate * np.cumsum(np.tile(session, max(sessions, 1))), quantity)
    buckets = int(np.searchsorted(reached, quantity)) + 1
    return whole_shares(quantity, np.diff(reached[:buckets], prepend=0.0))


def _volumes(values: Floats, name: str) -> Floats:
    if not len(values) or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InvalidValue(
            f"The {name} of a schedule must be finite, not negative, and not all zero.",
            next_step="Check the volume forecast.",
        )
    return values
