"""From an order and a forecast of the session to the plan that costs least.

One cost model judges every schedule: half the spread and the fee, a temporary impact that is
linear in the rate of trading, and risk, all in volume time (Almgren & Chriss). The impact is
matched to the house's square-root law at the parent's own mean rate, so a plan along the volume
curve costs what the vote says. Permanent impact costs every schedule the same and is left out.
"""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np

from agents.execution.implementation_shortfall import (
    Impact,
    Shortfall,
    shortfall,
    trajectory,
    urgency,
)
from agents.execution.schedules import Shares, pov, twap, vwap, whole_shares
from agents.execution.volume_curve import BUCKET_SECONDS, VolumeForecast
from agents.exposure import BASIS_POINTS
from agents.price_history import Floats
from agents.rounding import PLACES
from domain.errors import InvalidValue
from domain.execution_plan import Algorithm, ChildOrder, ExecutionPlan
from domain.money import canonical
from domain.orders import Side
from domain.settings import TradingSettings

#: λ per USD: Almgren & Chriss's own example.
RISK_AVERSION = 1e-6
#: What a less simple schedule has to save, in basis points of the order's value.
WORTHWHILE_BPS = 0.1
#: Further sessions that an order may take at most.
_MOST_SESSIONS = 250


class ParentOrder(NamedTuple):
    """An order to be worked: whole shares, its arrival price (USD), its daily volatility."""

    proposal_id: str
    symbol: str
    side: Side
    quantity: int
    price: float
    volatility: float

    @property
    def value(self) -> float:
        """Value at the arrival price (USD)."""
        return self.quantity * self.price


class Horizon(NamedTuple):
    """The buckets that an order may use, from its first one on, through whole sessions.

    Parameters
    ----------
    first
        Bucket of the first session that it starts with.
    session
        Buckets in a session.
    lengths
        Length of each bucket in volume time: 1 is a session's volume.
    volume
        Expected shares in a session.
    """

    first: int
    session: int
    lengths: Floats
    volume: float

    @property
    def times(self) -> Floats:
        """Volume time at the buckets' edges, from 0."""
        return np.concatenate([[0.0], np.cumsum(self.lengths)])


def horizon(quantity: int, forecast: VolumeForecast, rate: float, first: int = 0) -> Horizon:
    """Return the rest of the session, and further ones until `rate` of their volume suffices.

    Raises
    ------
    InvalidValue
        If the forecast has a bucket without volume, the first bucket lies past it, or the order
        would take more than a year.
    """
    curve = forecast.curve
    buckets = forecast.buckets
    if not 0 <= first < len(curve) or not np.isfinite(buckets).all() or buckets.min() <= 0:
        raise InvalidValue(
            "No volume is expected in a bucket that the order would use.",
            next_step="Forecast a positive volume for every bucket of the session.",
        )
    wanted = quantity / (rate * forecast.volume)
    rest = curve[first:]
    more = max(0, int(np.ceil(wanted - rest.sum() - 1e-9)))
    if more > _MOST_SESSIONS:
        raise InvalidValue(
            f"{quantity} shares at {rate:.2%} of {forecast.volume:.0f} a session need {more} "
            "sessions.",
            next_step="Trade less, or allow a higher participation.",
        )
    lengths = np.concatenate([rest, np.tile(curve, more)])
    return Horizon(first, len(curve), lengths, forecast.volume)


def impact_of(order: ParentOrder, volume: float, limits: TradingSettings) -> Impact:
    """Return the impact model of an order, time in sessions' volumes."""
    law = float(limits.impact_coefficient) * order.volatility * sqrt(order.quantity / volume)
    spread = float(limits.half_spread_bps) / BASIS_POINTS
    return Impact(
        volatility=order.price * order.volatility,
        temporary=order.price * law / order.quantity,
        fixed=order.price * spread + float(limits.fee_per_share),
    )


def schedules(
    order: ParentOrder,
    buckets: Horizon,
    impact: Impact,
    *,
    rate: float,
    risk_aversion: float,
    learned: Floats | None = None,
) -> dict[Algorithm, Shares]:
    """Return each algorithm's shares per bucket, the simplest first.

    Implementation shortfall needs impact to weigh risk against; `learned` are a policy's weights
    of all buckets.
    """
    volumes = buckets.volume * buckets.lengths
    found = {
        Algorithm.TWAP: twap(order.quantity, len(volumes)),
        Algorithm.VWAP: vwap(order.quantity, volumes),
        Algorithm.POV: pov(order.quantity, volumes, rate),
    }
    if impact.temporary > 0:
        decay = urgency(impact, risk_aversion)
        held = trajectory(order.quantity, buckets.times, decay)
        found[Algorithm.IMPLEMENTATION_SHORTFALL] = whole_shares(
            order.quantity, np.maximum(-np.diff(held), 0.0)
        )
    if learned is not None:
        if len(learned) != len(volumes):
            raise InvalidValue(
                f"A learned schedule of {len(learned)} buckets for {len(volumes)}.",
                next_step="Ask the policy for the buckets that the order may use.",
            )
        found[Algorithm.LEARNED] = whole_shares(order.quantity, learned)
    return found


def shortfall_of(shares: Shares, buckets: Horizon, impact: Impact) -> Shortfall:
    """Return what a schedule is expected to cost (USD), and its variance."""
    held = float(shares.sum()) - np.concatenate([[0.0], np.cumsum(shares)])
    return shortfall(impact, held, buckets.times[: len(held)])


def choose(
    candidates: Mapping[Algorithm, Shares],
    costs: Mapping[Algorithm, Shortfall],
    risk_aversion: float,
    worthwhile: float,
) -> Algorithm:
    """Return the first candidate that no later one beats by `worthwhile` (USD) in utility."""
    best, *others = candidates
    for algorithm in others:
        saved = costs[best].utility(risk_aversion) - costs[algorithm].utility(risk_aversion)
        if saved > worthwhile:
            best = algorithm
    return best


def plan(
    order: ParentOrder,
    forecast: VolumeForecast,
    limits: TradingSettings,
    *,
    risk_aversion: float = RISK_AVERSION,
    algorithm: Algorithm | None = None,
    first_bucket: int = 0,
    learned: Floats | None = None,
) -> ExecutionPlan:
    """Return the plan of an order: the asked algorithm's, or the cheapest one's.

    Every candidate may be `maximum_participation_rate` of any bucket at most. TWAP, where it is
    allowed, gives way only to what saves `WORTHWHILE_BPS`: the plan is never worse than TWAP, and
    a learned schedule is taken only where it beats the classic ones.

    Raises
    ------
    InvalidValue
        If the order is not one, or `horizon` finds no room for it.
    """
    if order.quantity < 1 or not order.price > 0 or not 0 <= order.volatility < np.inf:
        raise InvalidValue(
            f"{order.quantity} shares at {order.price} with volatility {order.volatility}.",
            next_step="Send a positive quantity and price, and a finite volatility.",
        )
    rate = float(limits.maximum_participation_rate)
    buckets = horizon(order.quantity, forecast, rate, first_bucket)
    impact = impact_of(order, forecast.volume, limits)
    found = schedules(
        order, buckets, impact, rate=rate, risk_aversion=risk_aversion, learned=learned
    )
    costs = {name: shortfall_of(shares, buckets, impact) for name, shares in found.items()}
    if algorithm is None:
        allowed = {n: s for n, s in found.items() if _participation(s, buckets) <= rate}
        worthwhile = WORTHWHILE_BPS / BASIS_POINTS * order.value
        algorithm = choose(
            allowed or {Algorithm.POV: found[Algorithm.POV]}, costs, risk_aversion, worthwhile
        )
    elif algorithm not in found:
        raise InvalidValue(
            f"{algorithm} has no schedule for this order.", next_step="Ask for another algorithm."
        )
    return _plan(order, algorithm, found[algorithm], buckets, costs[algorithm])


def _participation(shares: Shares, buckets: Horizon) -> float:
    """Return the largest share of a bucket's volume; a rounded share is forgiven."""
    return float(((shares - 1) / (buckets.volume * buckets.lengths[: len(shares)])).max())


def _plan(
    order: ParentOrder, algorithm: Algorithm, shares: Shares, buckets: Horizon, cost: Shortfall
) -> ExecutionPlan:
    in_bps = BASIS_POINTS / order.value
    places = [divmod(buckets.first + i, buckets.session) for i in range(len(shares))]
    return ExecutionPlan(
        proposal_id=order.proposal_id,
        symbol=order.symbol,
        side=order.side,
        quantity=canonical(str(order.quantity)),
        algorithm=algorithm,
        children=tuple(
            ChildOrder(
                session=session,
                seconds=bucket * BUCKET_SECONDS,
                quantity=canonical(str(int(count))),
            )
            for (session, bucket), count in zip(places, shares, strict=True)
            if count
        ),
        arrival_price=canonical(order.price),
        expected_cost_bps=canonical(round(cost.expected * in_bps, PLACES)),
        cost_deviation_bps=canonical(round(sqrt(cost.variance) * in_bps, PLACES)),
    )
