"""What a portfolio is exposed to: gross and net, sectors, factors, beta, names, days to sell."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from agents.price_history import Floats
from domain.errors import InvalidValue

#: Sector of a symbol that has none.
UNCLASSIFIED = "unclassified"


class Concentration(NamedTuple):
    """How few names the portfolio rests on.

    Parameters
    ----------
    largest
        Largest absolute weight.
    herfindahl
        Sum of squared shares of the gross exposure: 1 for one name.
    effective_positions
        Its inverse: as many equal positions are as concentrated.
    """

    largest: float
    herfindahl: float
    effective_positions: float


class FactorExposure(NamedTuple):
    """A statistical factor: a principal component of the assets' correlation.

    Parameters
    ----------
    exposure
        Daily deviation that the factor alone gives the portfolio, signed, as a fraction of equity.
    variance_share
        Its share of the portfolio's variance.
    """

    exposure: float
    variance_share: float


class Cluster(NamedTuple):
    """Assets that move together, and their gross exposure."""

    symbols: tuple[str, ...]
    gross: float


def gross_and_net(weights: Mapping[str, float]) -> tuple[float, float]:
    """Return the sums of absolute and of signed weights."""
    return sum(map(abs, weights.values())), sum(weights.values())


def sector_exposures(
    weights: Mapping[str, float], sectors: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """Return sector → gross and net weight, in order of names."""
    found: dict[str, dict[str, float]] = {}
    for symbol, weight in weights.items():
        found.setdefault(sectors.get(symbol, UNCLASSIFIED), {})[symbol] = weight
    return {sector: gross_and_net(found[sector]) for sector in sorted(found)}


def beta(returns: Floats, market: Floats) -> Floats:
    """Return the assets' slopes on the market's returns; days × assets and days.

    Raises
    ------
    InvalidValue
        If the market does not move, or the days don't match.
    """
    if len(returns) != len(market) or len(market) < 2:
        raise InvalidValue(
            f"{len(returns)} days of assets and {len(market)} of the market do not pair up.",
            next_step="Take the days that both traded.",
        )
    centred = market - market.mean()
    variance = float(centred @ centred)
    if not variance > 0:
        raise InvalidValue("The market never moved.", next_step="Name another market symbol.")
    return (returns - returns.mean(axis=0)).T @ centred / variance


def concentration(weights: Mapping[str, float]) -> Concentration:
    """Return how few names the portfolio rests on; all 0 where nothing is held."""
    sizes = np.abs(np.array(list(weights.values())))
    gross = float(sizes.sum())
    if gross == 0.0:
        return Concentration(0.0, 0.0, 0.0)
    herfindahl = float(((sizes / gross) ** 2).sum())
    return Concentration(float(sizes.max()), herfindahl, 1.0 / herfindahl)


def factor_exposures(
    exposures: Floats, correlation: Floats, factors: int = 3
) -> list[FactorExposure]:
    """Return the portfolio's exposure to the correlation's largest principal components.

    Parameters
    ----------
    exposures
        Weight times volatility per asset.

    Notes
    -----
    A component's sign is chosen so that most assets load on it positively. Shares of all
    components sum to 1.
    """
    values, vectors = np.linalg.eigh(correlation)
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    moved = (vectors.T @ exposures) * np.sqrt(np.maximum(values, 0.0))
    total = float((moved**2).sum())
    return [
        FactorExposure(float(moved[i]), float(moved[i]) ** 2 / total if total > 0 else 0.0)
        for i in np.argsort(-values, kind="stable")[:factors].tolist()
    ]


def liquidation_days(
    weights: Mapping[str, float],
    daily_values: Mapping[str, float],
    *,
    equity: float,
    participation: float,
) -> dict[str, float]:
    """Return the days that each position takes to be sold at a share of its usual volume.

    Infinite where nothing is traded.

    Raises
    ------
    InvalidValue
        If equity or participation isn't positive.
    """
    if not (equity > 0 and participation > 0):
        raise InvalidValue(
            f"No days follow from equity {equity} and participation {participation}.",
            next_step="Give positive numbers.",
        )
    return {
        symbol: abs(weight) * equity / (participation * value)
        if (value := daily_values.get(symbol, 0.0)) > 0
        else float("inf")
        for symbol, weight in weights.items()
    }


def cluster_exposures(
    weights: Mapping[str, float], groups: Iterable[tuple[str, ...]]
) -> list[Cluster]:
    """Return groups of correlated symbols with their gross exposure, largest first."""
    found = [Cluster(names, sum(abs(weights.get(name, 0.0)) for name in names)) for names in groups]
    return sorted(found, key=lambda cluster: (-cluster.gross, cluster.symbols))
