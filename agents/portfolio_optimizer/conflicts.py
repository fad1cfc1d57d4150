"""Whether any weights keep all constraints, and which of them conflict where none do."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.portfolio_optimizer.constraints import Constraints, program
from agents.portfolio_optimizer.solvers import mixed_integer_program
from agents.price_history import Floats
from domain.errors import InvalidValue

#: Violations up to this are rounding of the solver.
_TOLERANCE = 1e-9
#: What an asset without a bound may be held short, where a number is needed.
_FAR = 10.0


class ConflictingConstraints(InvalidValue):
    """No weights keep all constraints.

    Parameters
    ----------
    conflict
        Constraints that can't be kept together, each of which is needed for the conflict:
        without any one of them the others can be.
    """

    def __init__(self, conflict: tuple[str, ...]) -> None:
        super().__init__(
            f"No allocation keeps all of: {'; '.join(conflict)}.",
            next_step="Relax any one of them.",
        )
        self.conflict = conflict


def require_feasible(constraints: Constraints, symbols: tuple[str, ...], expected: Floats) -> None:
    """Check that some weights keep all constraints.

    Raises
    ------
    ConflictingConstraints
        If none do.
    """
    search = _Search(constraints, symbols, expected)
    every = np.ones(len(search.names), bool)
    if search.feasible(every):
        return
    raise ConflictingConstraints(search.conflict(every))


class _Search:
    """Looks for the constraints in conflict by mixed-integer programs (HiGHS)."""

    def __init__(
        self, constraints: Constraints, symbols: tuple[str, ...], expected: Floats
    ) -> None:
        n = len(symbols)
        base = program(replace(constraints, most_assets=None), symbols, expected)
        self._limit = constraints.most_assets
        width = base.rows.shape[1]
        self._whole = np.zeros(width + (n if self._limit is not None else 0), bool)
        rows, low, high, names = base.rows, base.low, base.high, list(base.names)
        if self._limit is not None:
            # |w| ≤ reach · held, and the number of those held is limited. The reach is no bound of
            # its own: what the budget and all that may be held short leave for one asset.
            lower, _ = constraints.bounds(n)
            short = float(-np.minimum(np.where(np.isfinite(lower), lower, -_FAR), 0.0).sum())
            reach = np.full(n, abs(constraints.budget) + short + 1.0)
            self._whole[width:] = True
            link = np.zeros((2 * n, width + n))
            link[:n, :n], link[:n, width:] = np.eye(n), -np.diag(reach)
            link[n:, :n], link[n:, width:] = -np.eye(n), -np.diag(reach)
            count = np.concatenate([np.zeros(width), np.ones(n)])[None]
            rows = np.vstack([np.hstack([rows, np.zeros((len(rows), n))]), link, count])
            low = np.concatenate([low, np.full(2 * n, -np.inf), [-np.inf]])
            high = np.concatenate([high, np.zeros(2 * n), [float(self._limit)]])
            names += [""] * (2 * n) + [f"at most {self._limit} assets"]
        self._rows, self._low, self._high = rows, low, high
        self._row_names = np.array(names)
        self.names = tuple(dict.fromkeys(name for name in names if name))

    def feasible(self, kept: NDArray[np.bool_]) -> bool:
        """Tell whether the named constraints of the mask can be kept together."""
        return self._solve(kept, elastic=False) is not None

    def conflict(self, every: NDArray[np.bool_]) -> tuple[str, ...]:
        """Return an irreducible set in conflict.

        Elastic filter, then deletion filter: Chinneck & Dravnieks, "Locating minimal infeasible
        constraint sets in linear programs" (1991).
        """
        firm = np.zeros_like(every)
        while self.feasible(firm):
            stretched = self._solve(firm, elastic=True)
            if stretched is None:
                break
            firm |= stretched
        for i in np.flatnonzero(firm):
            without = firm.copy()
            without[i] = False
            if not self.feasible(without):
                firm = without
        return tuple(name for name, needed in zip(self.names, firm, strict=True) if needed)

    def _solve(self, firm: NDArray[np.bool_], *, elastic: bool) -> NDArray[np.bool_] | None:
        """Return which soft constraints had to be stretched; None where `firm` can't be kept.

        Soft are, where `elastic`, all named constraints that are not firm; else they are dropped.
        """
        is_firm = dict(zip(self.names, firm.tolist(), strict=True))
        soft = np.array([bool(name) and not is_firm[name] for name in self._row_names])
        m, width = self._rows.shape
        rows, low, high = self._rows, self._low, self._high
        if not elastic:
            rows, low, high = rows[~soft], low[~soft], high[~soft]
        stretch = np.flatnonzero(soft) if elastic else np.zeros(0, int)
        slack = np.zeros((m, 2 * len(stretch)))
        slack[stretch, np.arange(len(stretch))] = 1.0
        slack[stretch, len(stretch) + np.arange(len(stretch))] = -1.0
        slacks = 2 * len(stretch)
        found = mixed_integer_program(
            np.concatenate([np.zeros(width), np.ones(slacks)]),
            np.hstack([rows, slack]) if elastic else rows,
            low,
            high,
            np.concatenate([np.where(self._whole, 1.0, np.nan), np.full(slacks, np.inf)]),
            np.concatenate([self._whole, np.zeros(slacks, bool)]),
        )
        if found is None:
            return None
        used = found[width:].reshape(2, -1).sum(axis=0) > _TOLERANCE
        stretched = set(self._row_names[stretch[used]].tolist())
        return np.array([name in stretched for name in self.names])
