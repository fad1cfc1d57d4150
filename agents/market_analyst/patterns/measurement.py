"""What patterns are worth in a market: how often they were right, beside how often chance is.

A pattern is right where the return from the next open to the close `horizon` bars on has its
direction. Its base rate is how often that is so on all bars. The difference has a normal interval
by the cluster-robust variance (Liang and Zeger 1986): patterns of one horizon are one cluster,
whatever their symbol, for symbols move together. The level is Bonferroni's for all patterns
measured: where none has any worth, at most one market in twenty shows one with an edge.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np

from agents.market_analyst.patterns.detection import find_patterns
from agents.market_analyst.patterns.track_record import TrackRecord
from agents.price_history import Floats, PriceHistory

_LEVEL = 0.05
_PLACES = 6


class _Tally:
    """Occurrences by key, and how often all bars went either way."""

    def __init__(self) -> None:
        self.bars = 0
        self.went: dict[int, int] = {1: 0, -1: 0}
        self.instants: set[int] = set()
        self.directions: dict[str, int] = {}
        self.right: dict[str, list[tuple[int, bool]]] = defaultdict(list)

    def add(self, history: PriceHistory, horizon: int) -> None:
        """Count one symbol's bars and patterns whose outcome is known."""
        moves = forward_moves(history, horizon)
        self.bars += len(moves)
        for direction in self.went:
            self.went[direction] += int((direction * moves > 0.0).sum())
        self.instants.update(history.times.tolist())
        places = {time: place for place, time in enumerate(history.times[: len(moves)].tolist())}
        counted: dict[str, int] = {}
        for pattern in find_patterns(history):
            key, place = pattern.key, places.get(pattern.confirmed)
            if not pattern.direction or place is None:
                continue
            if place - counted.get(key, -horizon) >= horizon:
                counted[key] = place
                self.directions[key] = pattern.direction
                right = bool(pattern.direction * moves[place] > 0.0)
                self.right[key].append((pattern.confirmed, right))


def measure(histories: Iterable[PriceHistory], horizon: int) -> dict[str, TrackRecord]:
    """Return pattern key → track record over the histories of one market.

    Only outcomes that the histories hold are counted; patterns without direction have none.
    """
    tally = _Tally()
    for history in histories:
        tally.add(history, horizon)
    clusters = {time: place // horizon for place, time in enumerate(sorted(tally.instants))}
    return {
        key: _record(
            [(clusters[time], right) for time, right in tally.right[key]],
            base=tally.went[tally.directions[key]] / tally.bars,
            measured=len(tally.right),
        )
        for key in sorted(tally.right)
    }


def forward_moves(history: PriceHistory, horizon: int) -> Floats:
    """Return log returns from the next open to the close `horizon` bars on, where known."""
    if history.length <= horizon:
        return np.zeros(0)
    return np.log(history.close[horizon:] / history.open[1 : history.length - horizon + 1])


def _record(found: Sequence[tuple[int, bool]], *, base: float, measured: int) -> TrackRecord:
    """Return the record of one pattern among `measured`, from (cluster, right) pairs."""
    count = len(found)
    hit_rate = sum(right for _, right in found) / count
    sums: dict[int, float] = defaultdict(float)
    for cluster, right in found:
        sums[cluster] += right - hit_rate
    groups = len(sums)
    variance = sum(each**2 for each in sums.values()) / count**2 * groups / max(groups - 1, 1)
    # Few occurrences may show no spread at all: independent clusters at the base rate have this.
    variance = max(variance, base * (1.0 - base) / count)
    reach = NormalDist().inv_cdf(1.0 - _LEVEL / measured / 2.0) * sqrt(variance)
    edge = hit_rate - base
    return TrackRecord(
        count=count,
        clusters=groups,
        hit_rate=round(hit_rate, _PLACES),
        base_rate=round(base, _PLACES),
        edge_low=round(edge - reach, _PLACES),
        edge_high=round(edge + reach, _PLACES),
    )
