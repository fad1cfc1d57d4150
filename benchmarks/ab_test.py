"""Error rates, power and stopping times of the A/B verdict, beside a z test looked at as often."""

import math

import numpy as np
from scipy.stats import binomtest

from benchmarks.measure import Row, run
from evaluation.sequential import confidence_sequence, fixed_sample_size, planned_horizon

_STREAMS, _LENGTH = 2_000, 2_000
_RHO, _EFFECT = 0.3, 0.2
#: A z test makes little sense before; the sequence says nothing before its thirtieth either.
_FIRST_LOOK = 10


def measure() -> list[Row]:
    rng = np.random.default_rng(2026)
    rows: list[Row] = []
    for name, heavy, rho in (
        ("i.i.d. normal", False, 0.0),
        ("i.i.d. t(3)", True, 0.0),
        ("AR(1) .3, normal", False, _RHO),
        ("AR(1) .3, t(3)", True, _RHO),
    ):
        rows += _equal(name, _streams(rng, _LENGTH, heavy=heavy, rho=rho))
        horizon = planned_horizon(_EFFECT, autocorrelation=rho)
        scale = math.sqrt((3 if heavy else 1) / (1 - rho**2))
        differences = _streams(rng, horizon, heavy=heavy, rho=rho) / scale + _EFFECT
        rows += _better(name, differences, horizon, rho)
    return rows


def _streams(rng: np.random.Generator, length: int, *, heavy: bool, rho: float) -> np.ndarray:
    shape = (_STREAMS, length)
    x = rng.standard_t(3, shape) if heavy else rng.standard_normal(shape)
    x[:, 0] /= math.sqrt(1 - rho**2)
    for t in range(1, length if rho else 0):
        x[:, t] += rho * x[:, t - 1]
    return x


def _equal(name: str, differences: np.ndarray) -> list[Row]:
    limits = confidence_sequence(differences)
    t = np.arange(1, _LENGTH + 1)
    mean = np.cumsum(differences, 1) / t
    deviation = np.sqrt(np.cumsum(differences**2, 1) / t - mean**2)[:, _FIRST_LOOK - 1 :]
    z = mean[:, _FIRST_LOOK - 1 :] / deviation * np.sqrt(t[_FIRST_LOOK - 1 :])
    return [
        _rate(
            f"equal models, {name}: promoted",
            np.any(limits.lower > 0, axis=1),
            "z test at 1.96, either side",
            np.any(np.abs(z) > 1.96, axis=1),
        )
    ]


def _better(name: str, differences: np.ndarray, horizon: int, rho: float) -> list[Row]:
    limits = confidence_sequence(differences, horizon=horizon)
    found = limits.lower > 0
    stopped = np.where(found.any(1), found.argmax(1) + 1, horizon)
    return [
        _rate(f"better by {_EFFECT} s.d., {name}: promoted within {horizon}", found.any(axis=1)),
        _rate(f"better by {_EFFECT} s.d., {name}: refused", np.any(limits.upper < 0, axis=1)),
        Row(
            figure=f"better by {_EFFECT} s.d., {name}: median stopping time",
            unit="observations",
            ours=float(np.median(stopped)),
            beside="sample of a test looked at once",
            theirs=fixed_sample_size(_EFFECT, autocorrelation=rho),
        ),
    ]


def _rate(figure: str, ours: np.ndarray, beside: str = "", theirs: np.ndarray | None = None) -> Row:
    interval = binomtest(int(ours.sum()), len(ours)).proportion_ci()
    return Row(
        figure=f"{figure} (95 % interval {100 * interval.low:.2g} to {100 * interval.high:.3g})",
        unit="% of streams",
        ours=100 * float(ours.mean()),
        beside=beside,
        theirs=None if theirs is None else 100 * float(theirs.mean()),
    )


if __name__ == "__main__":
    run(measure)
