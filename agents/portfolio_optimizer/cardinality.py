"""The best allocation among those that hold at most k assets, by branch and bound."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats
from domain.errors import InvalidValue

#: A weight below this is none.
HELD = 1e-7
#: Allocations tried at most; what is left of the proof is told as the gap.
_NODES = 500


class Solved(NamedTuple):
    """Weights and their objective, the smaller the better."""

    weights: Floats
    objective: float


class Optimum(NamedTuple):
    """The best weights found; nothing is better by more than `gap` of the objective's size.

    The gap is 0, but where so few assets are allowed that the proof was broken off.
    """

    weights: Floats
    gap: float = 0.0


def best_subset(
    solve: Callable[[NDArray[np.bool_] | None], Solved], assets: int, most: int
) -> Optimum:
    """Return the best allocation with at most `most` assets.

    Parameters
    ----------
    solve
        Mask of assets held at 0 → the best allocation of the others; raises `InvalidValue` where
        there is none. Its objective never falls as assets are left out.

    Raises
    ------
    InvalidValue
        If no allocation of so few assets was found.
    """
    ties, queue = count(), list[tuple[float, int, Floats, NDArray[np.bool_], NDArray[np.bool_]]]()
    best: Solved | None = None

    def visit(excluded: NDArray[np.bool_], included: NDArray[np.bool_]) -> None:
        nonlocal best
        try:
            found = solve(excluded)
        except InvalidValue:
            return
        if best is not None and found.objective >= best.objective:
            return
        if int((np.abs(found.weights) > HELD).sum()) <= most:
            best = Solved(np.where(np.abs(found.weights) > HELD, found.weights, 0.0), found[1])
            return
        heappush(queue, (found.objective, next(ties), found.weights, excluded, included))

    def largest(weights: Floats) -> NDArray[np.bool_]:
        kept = np.zeros(assets, bool)
        kept[np.argsort(-np.abs(weights), kind="stable")[:most]] = True
        return kept

    none = np.zeros(assets, bool)
    visit(none, none)
    if queue:
        visit(~largest(queue[0][2]), none)
    nodes = 0
    while queue and nodes < _NODES:
        bound, _, weights, excluded, included = heappop(queue)
        if best is not None and bound >= best.objective:
            queue.clear()
            break
        open_ones = ~excluded & ~included
        asset = int(np.argmax(np.where(open_ones, np.abs(weights), -1.0)))
        kept, left = included.copy(), excluded.copy()
        kept[asset], left[asset] = True, True
        visit(~kept if kept.sum() == most else excluded, kept)
        visit(left, included)
        nodes += 2
    if best is None:
        raise InvalidValue(
            f"No allocation of at most {most} assets was found.", next_step="Allow more assets."
        )
    bound = min((entry[0] for entry in queue), default=best.objective)
    scale = max(abs(best.objective), 1e-300)
    return Optimum(best.weights, max(0.0, best.objective - bound) / scale)
