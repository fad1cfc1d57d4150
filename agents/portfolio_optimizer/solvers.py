"""SciPy's solvers with types: the only module that knows it, for it has none."""

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import cluster, optimize  # pyright: ignore[reportMissingTypeStubs]

from agents.price_history import Floats

_optimize, _hierarchy = cast("Any", optimize), cast("Any", cluster).hierarchy


class LinearOptimum(NamedTuple):
    """The optimum of a linear program: its value, its variables, its equations' multipliers."""

    value: float
    x: Floats
    multipliers: Floats


def linear_program(
    cost: Floats, rows: Floats, right: Floats, lower: Floats, upper: Floats
) -> LinearOptimum | None:
    """Return the least cost'x with rows · x = right, lower ≤ x ≤ upper; None where there is none.

    By the dual simplex method of HiGHS.
    """
    found = _optimize.linprog(
        cost,
        A_eq=rows,
        b_eq=right,
        bounds=np.column_stack([lower, upper]),
        method="highs-ds",
        options={"presolve": False},  # it finds nothing in these programs and costs a third
    )
    if found.x is None:
        return None
    return LinearOptimum(
        float(found.fun), np.asarray(found.x), np.asarray(found.eqlin.marginals, dtype=np.float64)
    )


def mixed_integer_program(  # noqa: PLR0917 - the parts of a program
    cost: Floats, rows: Floats, low: Floats, high: Floats, upper: Floats, whole: NDArray[np.bool_]
) -> Floats | None:
    """Return x of least cost'x with low ≤ rows · x ≤ high; None where there is none.

    By branch and cut of HiGHS. Variables with a finite `upper` lie between 0 and it, those of
    `whole` are whole numbers, those of an infinite `upper` at least 0, of NaN anywhere.
    """
    free = np.isnan(upper)
    found = _optimize.milp(
        c=cost,
        integrality=whole.astype(np.float64),
        bounds=_optimize.Bounds(np.where(free, -np.inf, 0.0), np.where(free, np.inf, upper)),
        constraints=_optimize.LinearConstraint(rows, low, high),
    )
    return None if found.x is None else np.asarray(found.x, dtype=np.float64)


def ward_leaf_order(distances: Floats) -> NDArray[np.intp]:
    """Return the leaves of Ward's cluster tree, neighbours as close as the tree allows.

    `distances` are those of the upper triangle, row by row.
    """
    tree = _hierarchy.linkage(distances, method="ward", optimal_ordering=True)
    members: list[list[int]] = [[leaf] for leaf in range(len(tree) + 1)]
    joined: list[tuple[int, int]] = tree[:, :2].astype(np.intp).tolist()
    for left, right in joined:
        members.append(members[left] + members[right])
    return np.array(members[-1], np.intp)
