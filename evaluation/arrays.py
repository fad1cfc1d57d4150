"""What every measure takes in: a one-dimensional array of finite float64 numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidValue

Floats = NDArray[np.float64]
Series = Sequence[float] | Floats


def finite(values: Series, name: str) -> Floats:
    """Return `values` as a one-dimensional float64 array.

    Raises
    ------
    InvalidValue
        If it has another shape, or a value is NaN or infinite: a gap is a fault of the data, and
        a measure that skips it would hide it.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InvalidValue(
            f"{name} must have one dimension, not {array.ndim}.",
            next_step="Measure one series at a time.",
        )
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise InvalidValue(
            f"{name} has {bad} values that are not finite.",
            next_step="Fill or drop them where the reason for the gap is known.",
        )
    return array


def same_length(first: Floats, second: Floats, names: str) -> None:
    """Check that two series pair up.

    Raises
    ------
    InvalidValue
        If their lengths differ.
    """
    if len(first) != len(second):
        raise InvalidValue(
            f"{names} differ in length: {len(first)} and {len(second)}.",
            next_step="Join them on their keys first.",
        )
