"""Value at risk and expected shortfall of a sample of losses, and how it splits by asset.

A loss is positive and a fraction of equity. Expected shortfall (CVaR) is Acerbi and Tasche's
(2002): the mean of exactly the worst 1 - level of the sample, a part of one loss included. So it
is coherent: sub-additive, positively homogeneous, monotone and translation invariant.
"""

from math import ceil
from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from domain.errors import InvalidValue


class TailRisk(NamedTuple):
    """The loss that is not exceeded at a level, and the mean of those at and beyond it."""

    value_at_risk: float
    expected_shortfall: float


class Contributions(NamedTuple):
    """How a portfolio's risk splits by asset; one value each per asset.

    Parameters
    ----------
    marginal
        Change of the risk per unit of weight.
    component
        Weight times marginal (Euler): they sum to the whole.
    incremental
        The whole less what it would be without the asset.
    """

    marginal: Floats
    component: Floats
    incremental: Floats


def check_level(level: float) -> None:
    """Check that `level` is a confidence of a tail measure.

    Raises
    ------
    InvalidValue
        If it is not between one half and 1.
    """
    if not 0.5 < level < 1.0:
        raise InvalidValue(
            f"A tail at level {level} is not defined.", next_step="Use a level such as 0.99."
        )


def quantile_index(observations: int, level: float) -> int:
    """Return the place, in rising order, of the smallest loss that `level` of them don't exceed.

    Raises
    ------
    InvalidValue
        Below two observations, or if the level is not between one half and 1.
    """
    check_level(level)
    if observations < 2:
        raise InvalidValue(
            f"A tail of {observations} observations can't be measured.",
            next_step="Give at least two days of returns.",
        )
    return ceil(observations * level - 1e-9) - 1


def historical(losses: Floats, level: float = 0.99) -> TailRisk:
    """Return VaR (the inverted empirical distribution) and expected shortfall of `losses`.

    Raises
    ------
    InvalidValue
        Below two losses, if one isn't finite, or if the level is not between one half and 1.
    """
    n = len(losses)
    at = quantile_index(n, level)
    ordered = np.partition(losses, at)
    quantile = float(ordered[at])
    part = at + 1 - n * level
    shortfall = (float(ordered[at + 1 :].sum()) + part * quantile) / (n * (1.0 - level))
    # NaN and infinity sort into the tail or make the sum infinite: one pass finds them all.
    if not np.isfinite(losses.sum()):
        raise InvalidValue("A loss is not finite.", next_step="Drop the days with gaps first.")
    # Rounding may put the mean of equal losses a last bit below them.
    return TailRisk(quantile, max(shortfall, quantile))


def shortfall_contributions(weights: Floats, returns: Floats, level: float = 0.99) -> Contributions:
    """Return how the expected shortfall of a portfolio over scenarios splits by asset.

    Parameters
    ----------
    weights
        Fraction of equity per asset.
    returns
        Scenarios × assets.

    Notes
    -----
    The gradient of expected shortfall is the mean of the assets' losses in the worst scenarios
    (Tasche, 1999).
    """
    losses = -(returns @ weights)
    n, at = len(losses), quantile_index(len(losses), level)
    order = np.argsort(losses, kind="stable")
    share = np.zeros(n)
    share[order[at + 1 :]] = 1.0
    share[order[at]] = at + 1 - n * level
    marginal = -(share @ returns) / (n * (1.0 - level))
    whole = historical(losses, level).expected_shortfall
    without = [
        historical(losses + weight * returns[:, asset], level).expected_shortfall
        for asset, weight in enumerate(weights)
    ]
    return Contributions(marginal, weights * marginal, whole - np.array(without))
