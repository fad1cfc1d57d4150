"""How far the market has moved away from what a model learned."""

from datetime import datetime

import numpy as np
import polars as pl

#: Shares below this are taken as this, so that an empty bin stays finite.
_LEAST_SHARE = 1e-4


def population_stability_index(reference: pl.Series, recent: pl.Series, bins: int = 10) -> float:
    """Return Σ (recent - reference) · ln(recent / reference) over the reference's quantile bins.

    NaN and null are left out; NaN where either side has nothing left. Below .1 is usually called
    stable, above .25 a shift.
    """
    old, new = (s.cast(pl.Float64).drop_nulls().drop_nans().to_numpy() for s in (reference, recent))
    if not len(old) or not len(new):
        return float("nan")
    edges = np.unique(np.quantile(old, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(edges, side, side="right"), minlength=len(edges) + 1)
            / len(side),
            _LEAST_SHARE,
        )
        for side in (old, new)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def drift(features: pl.DataFrame, learned_until: datetime, sessions: int) -> pl.DataFrame:
    """Return feature and its stability index: before `learned_until`, and the last `sessions`."""
    moments = features["timestamp"].unique().sort()
    recent = features.filter(pl.col("timestamp") >= moments[-min(sessions, len(moments))])
    reference = features.filter(pl.col("timestamp") < learned_until)
    names = [n for n in features.columns if n not in ("symbol", "timestamp")]
    return pl.DataFrame(
        {
            "feature": names,
            "stability_index": [population_stability_index(reference[n], recent[n]) for n in names],
        },
        schema={"feature": pl.String, "stability_index": pl.Float64},
    ).sort("stability_index", descending=True, nulls_last=True)
