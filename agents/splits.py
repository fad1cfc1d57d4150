"""Steps of price that a split explains and no market does: history that was not adjusted."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Ratios of splits, old shares to new ones; their inverses are reverse splits.
RATIOS: Final = (
    1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0, 100.0,
)  # fmt: skip
#: How far an overnight step may be from a ratio, and how far a split day's prices range (logs).
#: Of 33 real splits by a ratio (2005 – 2021) the farthest step is .024 off and the widest day
#: ranges .054; of the 34 other nights that moved a price by a fifth none fits both.
STEP: Final = 0.03
RANGE: Final = 0.10
_LOG_RATIOS: Final = np.log(np.array(RATIOS))


def split_steps(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> NDArray[np.bool_]:
    """Return which bars open a split's ratio away from the last close, on a calm day.

    A crash may fall by as much, but not on a calm day; a day of a split is one. A bar whose prices
    are all one tells nothing of that. Prices that are no positive numbers are no steps.
    """
    found = np.zeros(len(opens), np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.abs(np.log(opens[1:] / closes[:-1]))
        large = np.flatnonzero(steps >= _LOG_RATIOS[0] - STEP)
        if len(large):
            near = np.abs(steps[large, None] - _LOG_RATIOS).min(axis=1) <= STEP
            ranges = np.log(highs[large + 1] / lows[large + 1])
            found[large + 1] = near & (ranges > 0.0) & (ranges <= RANGE)
    return found
