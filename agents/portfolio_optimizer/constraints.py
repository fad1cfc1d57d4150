"""What weights must keep to, and the same as rows of a linear program."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats
from domain.errors import InvalidValue


@dataclass(frozen=True)
class Group:
    """Assets whose weights together must stay between `least` and `most`."""

    name: str
    members: tuple[str, ...]
    least: float = -np.inf
    most: float = np.inf


@dataclass(frozen=True)
class Constraints:
    """What an allocation must keep to; as given, long only and fully invested.

    Parameters
    ----------
    lower, upper
        Least and largest weight: one for all assets or one for each; a negative `lower` allows
        short positions.
    budget
        Sum of the weights.
    groups
        Limits on sums of weights.
    gross
        Largest sum of absolute weights.
    held
        Weights before the trade; all 0 where not given.
    turnover
        Largest sum of absolute changes from `held`.
    trading_cost
        What a unit traded costs, as a fraction of its value, per period of the estimates: it is
        taken off the objective.
    least_return
        Least expected return per period.
    most_assets
        Largest number of weights other than 0.
    """

    lower: float | Floats = 0.0
    upper: float | Floats = 1.0
    budget: float = 1.0
    groups: tuple[Group, ...] = ()
    gross: float | None = None
    held: Floats | None = field(default=None)
    turnover: float | None = None
    trading_cost: float = 0.0
    least_return: float | None = None
    most_assets: int | None = None

    @property
    def bounds_only(self) -> bool:
        """Whether nothing but bounds and budget is asked: what the critical line carries."""
        return (
            not self.groups
            and self.gross is None
            and self.turnover is None
            and self.trading_cost == 0.0
            and self.least_return is None
            and self.most_assets is None
        )

    def bounds(self, assets: int) -> tuple[Floats, Floats]:
        """Return least and largest weight per asset.

        Raises
        ------
        InvalidValue
            If there is another number of bounds than of assets, or one is not a number.
        """
        both: list[Floats] = []
        for bound in (self.lower, self.upper):
            values = np.asarray(bound, dtype=np.float64)
            if values.shape not in ((), (assets,)) or np.isnan(values).any():
                raise InvalidValue(
                    f"Bounds must be one number, or one for each of {assets} assets.",
                    next_step="Give as many bounds as assets.",
                )
            both.append(np.broadcast_to(values, (assets,)).copy())
        return both[0], both[1]


class Program(NamedTuple):
    """Constraints as rows: low ≤ rows · x ≤ high.

    x holds the weights, then what is bought and what is sold of each asset, then what is held
    long and short of each, as far as the constraints need them. The rows without a name define
    these and can't conflict.
    """

    rows: Floats
    low: Floats
    high: Floats
    names: tuple[str, ...]
    cost: Floats
    assets: int

    def inequalities(self) -> tuple[Floats, Floats]:
        """Return G, h of G x ≤ h."""
        loose = self.low < self.high
        above, below = loose & np.isfinite(self.high), loose & np.isfinite(self.low)
        return (
            np.vstack([self.rows[above], -self.rows[below]]),
            np.concatenate([self.high[above], -self.low[below]]),
        )

    def equalities(self) -> tuple[Floats, Floats]:
        """Return A, b of A x = b."""
        tight = self.low == self.high
        return self.rows[tight], self.high[tight]


def program(
    constraints: Constraints,
    symbols: tuple[str, ...],
    expected: Floats,
    excluded: NDArray[np.bool_] | None = None,
) -> Program:
    """Return the constraints as rows; assets in `excluded` are held at 0.

    The largest number of assets is not among them: it is no linear constraint.
    """
    n = len(symbols)
    traded = constraints.turnover is not None or constraints.trading_cost > 0.0
    short = constraints.gross is not None
    width = n * (1 + 2 * traded + 2 * short)
    held = (
        np.zeros(n) if constraints.held is None else np.asarray(constraints.held, dtype=np.float64)
    )
    if held.shape != (n,) or not np.isfinite(held).all():
        raise InvalidValue(
            f"Weights held must be {n} finite numbers.", next_step="Give 0 for what isn't held."
        )
    lower, upper = constraints.bounds(n)
    if excluded is not None:
        lower, upper = (np.where(excluded, 0.0, bound) for bound in (lower, upper))
    table = _Rows(width, n)
    one, none = np.eye(n), np.zeros((n, n))
    table.add("", np.hstack([one, -one, one]), held, held) if traded else None
    if traded:
        table.add("", np.hstack([none, one, none]), np.zeros(n), np.full(n, np.inf))
        table.add("", np.hstack([none, none, one]), np.zeros(n), np.full(n, np.inf))
    if short:
        gap = np.zeros((n, 2 * n * traded))
        table.add("", np.hstack([one, gap, -one, one]), np.zeros(n), np.zeros(n))
        table.add("", np.hstack([none, gap, one, none]), np.zeros(n), np.full(n, np.inf))
        table.add("", np.hstack([none, gap, none, one]), np.zeros(n), np.full(n, np.inf))
    ones = np.ones((1, n))
    table.limit(f"weights sum to {constraints.budget:g}", ones, constraints.budget)
    for value, mask in _by_value(lower):
        name = f"{_who(symbols, mask)} at least {value:g}"
        table.add(name, one[mask], lower[mask], np.full(len(lower[mask]), np.inf))
    # What the others' least weights leave of the budget needs no limit of its own.
    upper = np.where(upper >= constraints.budget - (lower.sum() - lower), np.inf, upper)
    for value, mask in _by_value(upper):
        name = f"{_who(symbols, mask)} at most {value:g}"
        table.add(name, one[mask], np.full(len(upper[mask]), -np.inf), upper[mask])
    for group in constraints.groups:
        row = np.array([[float(symbol in group.members) for symbol in symbols]])
        table.add(f"{group.name} at least {group.least:g}", row, _at(group.least), _INFINITE)
        table.add(f"{group.name} at most {group.most:g}", row, -_INFINITE, _at(group.most))
    if constraints.least_return is not None:
        name = f"expected return at least {constraints.least_return:g}"
        table.add(name, expected[None], _at(constraints.least_return), _INFINITE)
    sides = np.ones((1, 2 * n))
    if constraints.turnover is not None:
        row = np.hstack([np.zeros((1, n)), sides])
        table.add(f"turnover at most {constraints.turnover:g}", row, -_INFINITE,
                  _at(constraints.turnover))  # fmt: skip
    if constraints.gross is not None:
        row = np.hstack([np.zeros((1, n * (1 + 2 * traded))), sides])
        table.add(f"gross exposure at most {constraints.gross:g}", row, -_INFINITE,
                  _at(constraints.gross))  # fmt: skip
    cost = np.zeros(width)
    if traded:
        cost[n : 3 * n] = constraints.trading_cost
    return table.program(cost)


_INFINITE = np.array([np.inf])
_NAMED = 3


def _by_value(bounds: Floats) -> list[tuple[float, NDArray[np.bool_]]]:
    return [(value, bounds == value) for value in np.unique(bounds).tolist()]


def _who(symbols: tuple[str, ...], mask: NDArray[np.bool_]) -> str:
    """Name the assets that share a bound."""
    if mask.all() and len(symbols) > 1:
        return "each asset"
    few = ", ".join(symbol for symbol, named in zip(symbols, mask, strict=True) if named)
    return few if mask.sum() <= _NAMED else f"each of {mask.sum()} assets"


def _at(value: float) -> Floats:
    return np.array([value])


class _Rows:
    def __init__(self, width: int, assets: int) -> None:
        self._width, self._assets = width, assets
        self._rows: list[Floats] = []
        self._low: list[Floats] = []
        self._high: list[Floats] = []
        self._names: list[str] = []

    def add(self, name: str, rows: Floats, low: Floats, high: Floats) -> None:
        """Add rows over the first columns; those without any limit are left out."""
        if not (np.isfinite(low) | np.isfinite(high)).any():
            return
        wide = np.zeros((len(rows), self._width))
        wide[:, : rows.shape[1]] = rows
        self._rows.append(wide)
        self._low.append(low)
        self._high.append(high)
        self._names += [name] * len(rows)

    def limit(self, name: str, row: Floats, value: float) -> None:
        """Add an equation."""
        self.add(name, row, _at(value), _at(value))

    def program(self, cost: Floats) -> Program:
        return Program(
            np.vstack(self._rows), np.concatenate(self._low), np.concatenate(self._high),
            tuple(self._names), cost, self._assets,
        )  # fmt: skip
