"""The hard limits: how much of each a portfolio uses, and which of them a trade breaches."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from domain.settings import TradingSettings


class Limit(StrEnum):
    """What is limited; a veto carries one of these names."""

    POSITION_FRACTION = "position_fraction"
    GROSS_EXPOSURE = "gross_exposure"
    SECTOR_EXPOSURE = "sector_exposure"
    CLUSTER_EXPOSURE = "cluster_exposure"
    BETA = "beta"
    LIQUIDATION_DAYS = "liquidation_days"
    VALUE_AT_RISK = "value_at_risk"
    EXPECTED_SHORTFALL = "expected_shortfall"


class Utilisation(NamedTuple):
    """A figure, its limit, and their quotient; 1 is the limit itself."""

    figure: float
    limit: float
    share: float


def utilisation(
    figures: Mapping[Limit, float], limits: TradingSettings
) -> dict[Limit, Utilisation]:
    """Return how much of each limit is used, for the figures that were measured."""
    return {
        limit: Utilisation(figure, most, figure / most)
        for limit, figure in figures.items()
        for most in (float(getattr(limits, f"maximum_{limit.value}")),)
    }


def binding(used: Mapping[Limit, Utilisation]) -> Limit:
    """Return the limit that is used most."""
    return max(used, key=lambda limit: used[limit].share)


def breached(
    before: Mapping[Limit, Utilisation], after: Mapping[Limit, Utilisation]
) -> Limit | None:
    """Return the limit that a trade breaches, of several the most used; or None.

    A limit that was exceeded already is breached by making it worse. A trade that brings it down
    is not held against it.
    """
    worse = {
        limit: used
        for limit, used in after.items()
        if used.share > 1.0 and used.share > before[limit].share
    }
    return binding(worse) if worse else None
