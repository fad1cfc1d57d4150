"""Expected returns and covariances from scenarios, and what an estimate must be to be used."""

from dataclasses import dataclass

import numpy as np

from agents.price_history import Floats
from agents.shrinkage import shrinkage_intensity
from domain.errors import InvalidValue

#: A covariance whose least eigenvalue is below this share of its largest is singular.
_SINGULAR = 1e-12
_FEWEST_SCENARIOS = 3


@dataclass(frozen=True)
class Estimates:
    """What an allocation is made from.

    Parameters
    ----------
    symbols
        Names of the assets.
    expected, covariance
        Per period, as fractions.
    scenarios
        Periods × assets of simple returns; what measures of tails read.
    """

    symbols: tuple[str, ...]
    expected: Floats
    covariance: Floats
    scenarios: Floats


def estimates(symbols: tuple[str, ...], scenarios: Floats) -> Estimates:
    """Return means and the shrunk covariance of scenarios.

    Raises
    ------
    InvalidValue
        See `shrunk_covariance`.
    """
    covariance = shrunk_covariance(scenarios)
    if len(symbols) != scenarios.shape[1]:
        raise InvalidValue(
            f"{len(symbols)} symbols for {scenarios.shape[1]} columns of returns.",
            next_step="Name every column.",
        )
    return Estimates(symbols, scenarios.mean(axis=0), covariance, scenarios)


def sample_covariance(scenarios: Floats) -> Floats:
    """Return the sample covariance (n - 1) of periods × assets.

    Raises
    ------
    InvalidValue
        If a return is not finite, there are fewer than three periods, or an asset never moves.
    """
    rows = _checked_scenarios(scenarios)
    centred = rows - rows.mean(axis=0)
    return centred.T @ centred / (len(rows) - 1)


def shrunk_covariance(scenarios: Floats) -> Floats:
    """Return the covariance shrunk toward a multiple of identity by the optimal amount.

    Positive definite however few periods there are; periods × assets, divided by n.

    Raises
    ------
    InvalidValue
        As `sample_covariance`.
    """
    rows = _checked_scenarios(scenarios)
    centred = rows - rows.mean(axis=0)
    sample = centred.T @ centred / len(centred)
    target = np.eye(len(sample)) * np.trace(sample) / len(sample)
    intensity = shrinkage_intensity(sample, centred)
    return intensity * target + (1.0 - intensity) * sample


def _checked_scenarios(scenarios: Floats) -> Floats:
    rows = np.asarray(scenarios, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0 or len(rows) < _FEWEST_SCENARIOS:
        raise InvalidValue(
            f"Returns of shape {rows.shape} say nothing of a covariance.",
            next_step=f"Give at least {_FEWEST_SCENARIOS} periods × one asset.",
        )
    if not np.isfinite(rows).all():
        columns = np.flatnonzero(~np.isfinite(rows).all(axis=0)).tolist()
        raise InvalidValue(
            f"Returns of assets {columns} have values that are not finite.",
            next_step="Leave those assets or those periods out.",
        )
    still = np.flatnonzero(np.ptp(rows, axis=0) == 0.0).tolist()
    if still:
        raise InvalidValue(
            f"Assets {still} never move, so they have no risk to weigh.",
            next_step="Leave them out.",
        )
    return rows


def checked_returns(expected: Floats) -> Floats:
    """Return expected returns as float64.

    Raises
    ------
    InvalidValue
        If there are none, or one is not finite.
    """
    mean = np.asarray(expected, dtype=np.float64)
    if mean.ndim != 1 or not len(mean) or not np.isfinite(mean).all():
        raise InvalidValue(
            "Expected returns must be one finite number per asset.",
            next_step="Leave out the assets for which there is none.",
        )
    return mean


def checked_covariance(covariance: Floats, assets: int) -> Floats:
    """Return a covariance as float64.

    Raises
    ------
    InvalidValue
        If it is of another shape, not finite, not symmetric, or not positive definite.
    """
    sigma = np.asarray(covariance, dtype=np.float64)
    if sigma.shape != (assets, assets) or not np.isfinite(sigma).all():
        raise InvalidValue(
            f"A covariance of {assets} assets must be {assets} × {assets} finite numbers.",
            next_step="Leave out the assets for which there is none.",
        )
    scale = float(np.abs(np.diagonal(sigma)).max())
    if scale == 0.0 or float(np.abs(sigma - sigma.T).max()) > 1e-9 * scale:
        raise InvalidValue("The covariance is not symmetric, or zero.", next_step="Estimate it.")
    values = np.linalg.eigvalsh(sigma)
    if values[0] <= _SINGULAR * values[-1]:
        raise InvalidValue(
            "The covariance is singular: a portfolio without any risk would follow from it.",
            next_step="Shrink it (`estimation.shrunk_covariance`), or leave out copies of assets.",
        )
    return sigma
