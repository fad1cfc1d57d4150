"""Convex quadratic programs with linear constraints, to about ten digits.

Mehrotra's predictor–corrector interior point method (Nocedal & Wright, "Numerical Optimization",
2nd edition, algorithm 16.4), dense: SciPy's own way for such programs, SLSQP, approximates the
Hessian that is known here, and needs seconds where purchases and sales are variables of their own.
"""

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from agents.price_history import Floats
from domain.errors import InvalidValue

_STEPS = 100
_GAP = 1e-12
#: Least share of the way to the boundary that a step takes.
_TO_BOUNDARY = 0.995


def minimise_quadratic(
    hessian: Floats, linear: Floats, a: Floats, b: Floats, g: Floats, h: Floats
) -> Floats:
    """Return x that minimises ½ x' hessian x + linear'x with a x = b and g x ≤ h.

    `hessian` is positive semidefinite, and the constraints can be kept: ask
    `constraints.require_feasible` first.

    Raises
    ------
    InvalidValue
        If it does not converge: the program has no bound, or is too badly scaled.
    """
    n, equations, limits = len(linear), len(b), len(h)
    scale = max(float(np.abs(hessian).max(initial=0.0)), float(np.abs(linear).max(initial=0.0)))
    p, q = hessian / (scale or 1.0), linear / (scale or 1.0)
    x, y = np.zeros(n), np.zeros(equations)
    s, z = np.ones(limits), np.ones(limits)
    matrix = np.zeros((n + equations, n + equations))
    matrix[n:, :n], matrix[:n, n:] = a, a.T
    # What must vanish, relative to the sizes of what enters it.
    size = 1.0 + max(float(np.abs(v).max(initial=0.0)) for v in (b, h))
    for step in range(_STEPS):
        dual = p @ x + q + a.T @ y + g.T @ z
        primal, slack = a @ x - b, g @ x + s - h
        gap = float(s @ z) / max(limits, 1)
        worst = max(float(np.abs(v).max(initial=0.0)) for v in (dual, primal / size, slack / size))
        if worst < 1e-10 and gap < _GAP:
            return x
        matrix[:n, :n] = p + (g.T * (z / s)) @ g
        factors = lu_factor(matrix, check_finite=False)

        def direction(complementary: Floats) -> tuple[Floats, Floats, Floats, Floats]:
            right = np.concatenate(
                [-dual - g.T @ ((z * slack - complementary) / s), -primal]
            )
            both = lu_solve(factors, right, check_finite=False)
            dx, dy = both[:n], both[n:]
            ds = -slack - g @ dx
            return dx, dy, ds, -(complementary + z * ds) / s

        *_, ds, dz = direction(s * z)
        reach = min(_longest(s, ds), _longest(z, dz))
        after = float((s + reach * ds) @ (z + reach * dz)) / max(limits, 1)
        centre = (after / gap) ** 3 * gap if gap > 0.0 else 0.0
        dx, dy, ds, dz = direction(s * z + ds * dz - centre if step else s * z - gap)
        share = _TO_BOUNDARY if gap > 1e-6 else 1.0 - 1e-4
        reach = min(1.0, share * min(_longest(s, ds), _longest(z, dz)))
        x, y, s, z = x + reach * dx, y + reach * dy, s + reach * ds, z + reach * dz
    raise InvalidValue(
        "The quadratic program did not converge.",
        next_step="Check the scale of the estimates, and that the weights are bounded.",
    )


def _longest(values: Floats, steps: Floats) -> float:
    """Return the longest step that keeps all values at least 0, at most 1 of use."""
    falling = steps < 0.0
    return min(1.0 / _TO_BOUNDARY, float(np.min(-values[falling] / steps[falling], initial=np.inf)))
