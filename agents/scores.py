"""What a score means: from 75 on, the agent holds executing more likely right than wrong.

Every agent measures its support for a proposal in its own unit and knows the chance that
executing proves right (`agents.verdicts` says what that is). 75 stands where that chance is one
half, so score and confidence can't contradict each other: the side of 75 is the verdict, the
confidence its probability. Above, the strongest twentieth of the support seen in training gets
`HIGHEST` from the Market Analyst, the one agent that forecasts what a trade earns. The others'
support foretells no gain: that there is room in the limits, or that a trade is cheap, speaks
against nothing, and gets `NO_OBJECTION` at most. Otherwise the weight of the surest, who see the
least of the reward, would carry every proposal over any objection.

Below, the score falls faster, so that an objection is heard: the firmest rejects the proposal
where the others have none (63 and three times 77 have a variance of 37), and sends it to a
person where the Analyst is all for it (63, 77, 77 and 84: 58), or where it is two against two
(63, 63, 77 and 77: 49).
"""

import numpy as np

from agents.calibration import Knots, knots
from agents.price_history import Floats
from domain.voting import ACCEPTANCE

HIGHEST = 84
NO_OBJECTION = 77
LOWEST = 63
#: Chance from which on the agent accepts.
EVEN_CHANCE = 0.5
#: An objection reaches `LOWEST` at this share of the distance at which consent reaches `HIGHEST`.
_OBJECTION_REACH = 0.25


def even_support(chance: Knots) -> float:
    """Return the least support at which `chance` reaches one half, within the knots' reach."""
    x, y = np.array(chance.x), np.array(chance.y)
    if y[0] >= EVEN_CHANCE:
        return float(x[0])
    if y[-1] < EVEN_CHANCE:
        return float(x[-1])
    after = int(np.argmax(y >= EVEN_CHANCE))
    share = (EVEN_CHANCE - y[after - 1]) / (y[after] - y[after - 1])
    return float(x[after - 1] + share * (x[after] - x[after - 1]))


def score_knots(supports: Floats, acceptance: float, *, highest: int) -> Knots:
    """Return support → score through (acceptance, 75).

    Parameters
    ----------
    supports
        Supports of the tuning days; their 95th percentile gets the score `highest`.
    """
    reach = max(float(np.quantile(supports, 0.95)) - acceptance, 1e-3)
    return knots(
        [
            (acceptance - _OBJECTION_REACH * reach, LOWEST),
            (acceptance, ACCEPTANCE),
            (acceptance + reach, highest),
        ]
    )


def score_of(support: float, scale: Knots, *, accepts: bool) -> int:
    """Return the whole score, 0–100, of a support; 75 and above exactly where `accepts`."""
    value = round(scale(support))
    return max(value, ACCEPTANCE) if accepts else min(value, ACCEPTANCE - 1)
