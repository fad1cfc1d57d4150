"""What is computed from bars, in two layers.

For people and charts, in natural units: `technical` (the textbooks' indicators, batch, values as
TA-Lib's) and `incremental` (the same bar by bar); `alphas` is the wider set for research.
For models, without scale: `features`, whose names this package offers.
"""

from agents.indicators.features import (
    FEATURE_NAMES,
    FEATURES,
    FLOOR,
    SENTIMENT,
    WARM_UP,
    WINDOW,
    Indicator,
    compute,
    compute_frame,
    compute_latest,
)

__all__ = [
    "FEATURES",
    "FEATURE_NAMES",
    "FLOOR",
    "SENTIMENT",
    "WARM_UP",
    "WINDOW",
    "Indicator",
    "compute",
    "compute_frame",
    "compute_latest",
]
