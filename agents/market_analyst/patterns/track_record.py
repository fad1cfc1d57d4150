"""What patterns are worth in a market: how often they were right, beside how often chance is.

A pattern is right where the return from the next open to the close `horizon` bars on has its
direction. Its base rate is how often that is so on all bars. The difference has a normal interval
by the cluster-robust variance (Liang and Zeger 1986): patterns of one horizon are one cluster,
whatever their symbol, for symbols move together. The level is Bonferroni's for all patterns
measured, so that among patterns of no worth one in twenty markets shows a single one with an edge.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import NormalDist

import msgspec
import numpy as np

from agents.market_analyst.patterns.detection import find_patterns
from agents.price_history import PriceHistory

_LEVEL = 0.05
#: Fewest clusters that an interval is believed from.
_FEWEST = 30
_PLACES = 6


class TrackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a pattern, in one direction, fared in a market.

    Parameters
    ----------
    count, clusters
        Occurrences (those of a symbol at least one horizon apart), and horizons they fell into.
    hit_rate, base_rate
        Share of occurrences that were right, and of all bars that would have been.
    edge_low, edge_high
        Interval of the difference.
    """

    count: int
    clusters: int
    hit_rate: float
    base_rate: float
    edge_low: float
    edge_high: float

    @property
    def has_edge(self) -> bool:
        """Whether it is right more often than chance, beyond what chance explains."""
        return self.clusters >= _FEWEST and self.edge_low > 0.0


class Outcome(msgspec.Struct, frozen=True):
    """One occurrence: when, and whether it was right."""

    time: int
    right: bool


def measure(histories: Iterable[PriceHistory], horizon: int) -> dict[str, TrackRecord]:
    """Return pattern key → track record over the histories of one market.

    Only outcomes that the histories hold are counted; patterns without direction have none.
    """
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    directions: dict[str, int] = {}
    rises = falls = bars = 0
    instants: set[int] = set()
    for history in histories:
        moves = forward_moves(history, horizon)
        bars += len(moves)
        rises += int((moves > 0.0).sum())
        falls += int((moves < 0.0).sum())
        instants.update(history.times.tolist())
        places = {time: place for place, time in enumerate(history.times[: len(moves)].tolist())}
        newest: dict[str, int] = {}
        for pattern in find_patterns(history):
            key, place = pattern.key, places.get(pattern.confirmed)
            if not pattern.direction or place is None:
                continue
            if place - newest.get(key, -horizon) < horizon:
                continue
            newest[key] = place
            directions[key] = pattern.direction
            right = bool(pattern.direction * moves[place] > 0.0)
            outcomes[key].append(Outcome(pattern.confirmed, right))
    if not bars:
        return {}
    base = {1: rises / bars, -1: falls / bars}
    clusters = {time: place // horizon for place, time in enumerate(sorted(instants))}
    return {
        key: _record(outcomes[key], base[directions[key]], clusters, len(outcomes))
        for key in sorted(outcomes)
    }


def forward_moves(
    history: PriceHistory, horizon: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return log returns from the next open to the close `horizon` bars on, where known."""
    if history.length <= horizon:
        return np.zeros(0)
    return np.log(history.close[horizon:] / history.open[1 : history.length - horizon + 1])


def _record(
    found: Sequence[Outcome], base: float, clusters: Mapping[int, int], measured: int
) -> TrackRecord:
    """Return the record of one pattern among `measured`."""
    count = len(found)
    hit_rate = sum(outcome.right for outcome in found) / count
    sums: dict[int, float] = defaultdict(float)
    for outcome in found:
        sums[clusters[outcome.time]] += outcome.right - hit_rate
    groups = len(sums)
    # No spread is seen where all were right or all wrong: then the base rate's is taken.
    variance = max(sum(each**2 for each in sums.values()), 1e-12) / count**2
    if hit_rate in (0.0, 1.0):
        variance = base * (1.0 - base) / groups
    reach = NormalDist().inv_cdf(1.0 - _LEVEL / measured / 2.0) * sqrt(
        variance * groups / max(groups - 1, 1)
    )
    edge = hit_rate - base
    return TrackRecord(
        count=count,
        clusters=groups,
        hit_rate=round(hit_rate, _PLACES),
        base_rate=round(base, _PLACES),
        edge_low=round(edge - reach, _PLACES),
        edge_high=round(edge + reach, _PLACES),
    )
