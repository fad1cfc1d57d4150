"""What a score means: 50 is indifferent, 75 the agent's own validated acceptance threshold.

Every agent measures its support for a proposal in its own unit. On validation proposals it is
found from which support on accepting paid most by the agent's own measure; that support becomes
75. Scores are linear in between and clipped beyond, so that four agents who all accept lie close
together, and an agent that objects stands out.
"""

import numpy as np

from agents.calibration import Knots, knots
from agents.price_history import Floats

INDIFFERENT = 50
ACCEPTANCE = 75
HIGHEST = 84
LOWEST = 40

_SHARES_REFUSED = (0.1, 0.2, 0.3, 0.4, 0.5)


def acceptance_threshold(supports: Floats, gains: Floats) -> float:
    """Return the support from which on accepting gained most in total.

    Parameters
    ----------
    supports
        The agent's support for each validation proposal.
    gains
        What executing it gained by the agent's own measure; negative where it did harm.

    Notes
    -----
    Only five thresholds are tried (10 % to 50 % refused), so that little is fitted; of equal ones
    the most lenient is taken.
    """
    candidates = np.quantile(supports, _SHARES_REFUSED)
    totals = [gains[supports >= candidate].sum() for candidate in candidates]
    return float(candidates[int(np.argmax(totals))])


def score_knots(supports: Floats, *, indifferent: float, acceptance: float) -> Knots:
    """Return support → score through (indifferent, 50) and (acceptance, 75).

    The 95th percentile of the supports above acceptance gets the highest score given.
    """
    acceptance = max(acceptance, indifferent + 1e-3)
    step = acceptance - indifferent
    strong = max(float(np.quantile(supports, 0.95)), acceptance + step * 0.1)
    lowest = indifferent - step * (INDIFFERENT - LOWEST) / (ACCEPTANCE - INDIFFERENT)
    return knots(
        [
            (lowest, LOWEST),
            (indifferent, INDIFFERENT),
            (acceptance, ACCEPTANCE),
            (strong, HIGHEST),
        ]
    )


def score_of(support: float, scale: Knots) -> int:
    """Return the whole score, 0–100, of a support; it accepts only from the threshold on."""
    value = scale(support)
    return min(round(value), ACCEPTANCE - 1) if value < ACCEPTANCE else round(value)
