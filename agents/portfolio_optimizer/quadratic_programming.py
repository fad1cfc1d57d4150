"""Convex quadratic programs with linear constraints, to about ten digits.

Mehrotra's predictor–corrector interior point method (Nocedal & Wright, "Numerical Optimization",
2nd edition, algorithm 16.4), dense: SciPy's own way for such programs, SLSQP, approximates the
Hessian that is known here, and needs seconds where purchases and sales are variables of their own.
"""

from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from domain.errors import InvalidValue

_STEPS = 100
#: Residuals and mean complementarity, relative to the program's sizes: what is aimed at, and what
#: still does where rounding allows no more (where many limits just hold).
_AIM, _ENOUGH = 1e-12, 1e-8
#: An error this many times the least one only grows from there.
_DIVERGED = 1e6
#: Least share of the way to the boundary that a step takes.
_TO_BOUNDARY = 0.9995

#: A matrix, and a right-hand side per row of it.
Rows = tuple[Floats, Floats]


def minimise_quadratic(
    hessian: Floats, linear: Floats, equalities: Rows, inequalities: Rows
) -> Floats:
    """Return x that minimises ½ x' hessian x + linear'x with A x = b and G x ≤ h.

    `hessian` is positive semidefinite, and the constraints can be kept: ask
    `constraints.require_feasible` first.

    Raises
    ------
    InvalidValue
        If it does not converge: the program has no bound, or is too badly scaled.
    """
    (a, b), (g, h) = equalities, inequalities
    n, equations, limits = len(linear), len(b), max(len(h), 1)
    largest = max(float(np.abs(hessian).max()), float(np.abs(linear).max())) or 1.0
    p, q = hessian / largest, linear / largest
    x, y = np.zeros(n), np.zeros(equations)
    s, z = np.ones(len(h)), np.ones(len(h))
    matrix = np.zeros((n + equations, n + equations))
    matrix[n:, :n], matrix[:n, n:] = a, a.T
    size = 1.0 + max(float(np.abs(v).max(initial=0.0)) for v in (b, h))
    best, least = x, np.inf
    for _ in range(_STEPS):
        dual = p @ x + q + a.T @ y + g.T @ z
        primal, slack = (a @ x - b) / size, (g @ x + s - h) / size
        gap = float(s @ z) / limits
        error = max(gap, *(float(np.abs(v).max(initial=0.0)) for v in (dual, primal, slack)))
        if error < least:
            best, least = x, error
        if error < _AIM or error > _DIVERGED * least:
            break
        matrix[:n, :n] = p + (g.T * (z / s)) @ g
        here = _Point(matrix, g, dual, primal * size, slack * size, s, z)
        try:
            _, _, ds, dz = _direction(here, s * z)
        except np.linalg.LinAlgError:
            break
        reach = min(_longest(s, ds), _longest(z, dz))
        after = float((s + reach * ds) @ (z + reach * dz)) / limits
        centre = after**3 / gap**2 if gap > 0.0 else 0.0
        dx, dy, ds, dz = _direction(here, s * z + ds * dz - centre)
        reach = min(1.0, _TO_BOUNDARY * min(_longest(s, ds), _longest(z, dz)))
        x, y, s, z = x + reach * dx, y + reach * dy, s + reach * ds, z + reach * dz
    if least < _ENOUGH:
        return best
    raise InvalidValue(
        "The quadratic program did not converge.",
        next_step="Check the scale of the estimates, and that the weights are bounded.",
    )


class _Point(NamedTuple):
    """Where Newton's equations are set up: their matrix, the residuals, slacks, multipliers."""

    matrix: Floats
    g: Floats
    dual: Floats
    primal: Floats
    slack: Floats
    s: Floats
    z: Floats


def _direction(at: _Point, complementary: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return Newton's steps of x, y, s and z that would take s · z down by `complementary`."""
    right = np.concatenate(
        [-at.dual - at.g.T @ ((at.z * at.slack - complementary) / at.s), -at.primal]
    )
    both: Floats = np.linalg.solve(at.matrix, right).astype(np.float64, copy=False)
    dx, dy = both[: len(at.dual)], both[len(at.dual) :]
    ds = -at.slack - at.g @ dx
    return dx, dy, ds, -(complementary + at.z * ds) / at.s


def _longest(values: Floats, steps: Floats) -> float:
    """Return the longest step that keeps all values at least 0, at most 1 of use."""
    falling = steps < 0.0
    return min(1.0 / _TO_BOUNDARY, float(np.min(-values[falling] / steps[falling], initial=np.inf)))
