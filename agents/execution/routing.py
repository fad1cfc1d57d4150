"""Where a child order goes: split over venues so that its expected cost is least.

A venue's expected cost of q shares, in basis points times shares, is ``level · q + ½ · slope · q²``
up to its capacity: what trading there costs at the margin rises along its book. The least sum
over venues has one marginal cost everywhere (Karush, Kuhn and Tucker), found by filling the
venues like connected vessels. Parts are whole shares and sum to the child order.
"""

from collections.abc import Sequence
from math import inf, nextafter, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats
from domain.errors import InvalidValue

#: A book along which the whole order costs no more than this extra is flat.
_FLAT_BPS = 1e-9


class Venue(NamedTuple):
    """A place to trade.

    Parameters
    ----------
    name
        Where the child order is sent.
    fee_bps
        Fee in basis points of value; negative is a rebate.
    half_spread_bps
        Distance from the mid-price to the best price. A dark venue trades at the mid-price.
    depth
        Shares over which the price moves by another half-spread; the slope of its book.
    capacity
        Shares it can take at most.
    fill_probability
        Chance that an order fills; what does not is traded on the cheapest lit venue, later.
    latency_seconds
        Time until an order is there.
    dark
        Whether it shows no book.
    adverse_selection_bps
        By how much prices move against those who were filled there, beyond the spread.
    """

    name: str
    fee_bps: float
    half_spread_bps: float
    depth: float = inf
    capacity: float = inf
    fill_probability: float = 1.0
    latency_seconds: float = 0.0
    dark: bool = False
    adverse_selection_bps: float = 0.0


class Route(NamedTuple):
    """Whole shares for one venue, and what a share more would cost there (bps)."""

    venue: str
    quantity: int
    marginal_cost_bps: float


def split_order(
    quantity: int, venues: Sequence[Venue], *, volatility_bps: float = 0.0
) -> tuple[Route, ...]:
    """Return the cheapest split of a child order, by venue in the order given; none empty.

    Parameters
    ----------
    volatility_bps
        Standard deviation of the mid-price over a second: what waiting for a venue risks.

    Raises
    ------
    InvalidValue
        If there is nothing to split, a venue is impossible or named twice, no venue is lit where
        a dark one may not fill, or the venues can't take the whole order.
    """
    if quantity < 1 or not venues or not all(map(_possible, venues)) or volatility_bps < 0:
        raise InvalidValue(
            f"{quantity} shares can't be split over {len(venues)} venues as described.",
            next_step="Send a positive quantity and venues of finite cost, positive depth and "
            "capacity, and a fill probability above 0 and up to 1.",
        )
    if len({venue.name for venue in venues}) < len(venues):
        raise InvalidValue(
            "A venue is named twice, so its depth would count twice.",
            next_step="Name each venue once.",
        )
    capacity = np.floor([venue.capacity for venue in venues])
    if capacity.sum() < quantity:
        raise InvalidValue(
            f"The venues take {capacity.sum():.0f} of {quantity} shares.",
            next_step="Add a venue or send less.",
        )
    level = _levels(venues, volatility_bps)
    slope = np.array([venue.half_spread_bps / venue.depth for venue in venues])
    slope[slope * quantity < _FLAT_BPS] = 0.0
    parts = _whole(_cheapest(quantity, level, slope, capacity), quantity, capacity)
    return tuple(
        Route(venue.name, int(part), float(level[i] + slope[i] * part))
        for i, (venue, part) in enumerate(zip(venues, parts, strict=True))
        if part
    )


def _possible(venue: Venue) -> bool:
    costs = (venue.fee_bps, venue.half_spread_bps, venue.adverse_selection_bps)
    return (
        bool(np.isfinite((*costs, venue.latency_seconds)).all())
        and min(venue.half_spread_bps, venue.latency_seconds) >= 0
        and min(venue.depth, venue.capacity) > 0
        and 0 < venue.fill_probability <= 1
    )


def _levels(venues: Sequence[Venue], volatility_bps: float) -> Floats:
    """Return what the first share costs at each venue (bps)."""

    def filled(venue: Venue) -> float:
        spread = 0.0 if venue.dark else venue.half_spread_bps
        # The mean of a move that is taken only where it is against us: σ √t / √(2π).
        waiting = volatility_bps * sqrt(venue.latency_seconds / (2 * np.pi))
        return venue.fee_bps + spread + waiting + venue.adverse_selection_bps

    sure = [filled(v) for v in venues if not v.dark and v.fill_probability == 1.0]
    if not sure and any(v.fill_probability < 1.0 for v in venues):
        raise InvalidValue(
            "No lit venue is sure to fill what the others leave.",
            next_step="Add a lit venue with a fill probability of 1.",
        )
    fallback = min(sure, default=0.0)
    return np.array(
        [v.fill_probability * filled(v) + (1 - v.fill_probability) * fallback for v in venues]
    )


def _cheapest(quantity: int, level: Floats, slope: Floats, capacity: Floats) -> Floats:
    """Return the split, not rounded, at which no share is cheaper elsewhere.

    Venues without a slope take all they can at their own level; among equals the first do.
    """
    steep = slope > 0

    def taken(marginal: float) -> Floats:
        rising = np.where(steep, marginal - level, 0.0) / np.where(steep, slope, 1.0)
        flat = np.where(level < marginal, capacity, 0.0)
        return np.where(steep, np.clip(rising, 0.0, capacity), flat)

    most = np.where(steep, np.minimum(capacity, quantity), 0.0)
    corners: list[float] = np.unique(np.concatenate([level, level + slope * most])).tolist()
    # The first corner at which the venues take it all, flat ones at that level included.
    place = next(i for i, c in enumerate(corners) if taken(nextafter(c, inf)).sum() >= quantity)
    upper = corners[place]
    parts = taken(upper)
    short = quantity - parts.sum()
    if short >= 0:
        for venue in np.flatnonzero(~steep & (level == upper)):
            parts[venue] = min(capacity[venue], short)
            short -= parts[venue]
        return parts
    below = taken(nextafter(corners[place - 1], inf))
    share = (quantity - below.sum()) / (parts.sum() - below.sum())
    return below + share * (parts - below)


def _whole(parts: Floats, quantity: int, capacity: Floats) -> NDArray[np.int64]:
    """Round by largest remainders, so that the parts still sum to `quantity`."""
    floors = np.floor(parts + 1e-9)
    room = np.floor(np.minimum(capacity, quantity)) - floors
    missing = int(quantity - floors.sum())
    order = np.argsort(-np.where(room >= 1, parts - floors, -inf), kind="stable")
    floors[order[:missing]] += 1
    return floors.astype(np.int64)
