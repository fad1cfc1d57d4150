"""How far a covariance of few days is shrunk towards a multiple of the identity."""

import numpy as np

from agents.price_history import Floats

_STILL = 1e-12


def shrinkage_intensity(sample: Floats, centred: Floats) -> float:
    """Return the optimal share (0–1) of the target, whose every variance is the mean one.

    Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices"
    (2004), Lemma 3.2 to 3.4.

    Parameters
    ----------
    sample
        Covariance of `centred`, divided by the number of days.
    centred
        Days × assets, each asset of mean zero.
    """
    days, assets = centred.shape
    mean = float(np.trace(sample)) / assets
    distance = float((sample**2).sum()) / assets - mean**2
    # Σ ‖x xᵀ - S‖² without making an outer product per day.
    lengths = (centred**2).sum(axis=1)
    noise = float((lengths**2).sum()) / days - float((sample**2).sum())
    noise = min(noise / days / assets, distance)
    return noise / distance if distance > _STILL * mean**2 else 1.0
