"""10,000 paths × 252 days × 20 assets, drawn and followed to their drawdowns.

Beside the same number of random numbers and the matrix product alone, in bare numpy.
"""

import time
from math import sqrt

import numpy as np

from benchmarks.measure import Row, alternately, median, run
from evaluation.monte_carlo import outcomes, scenario_paths

_PATHS, _PERIODS, _ASSETS, _REPEATS = 10_000, 252, 20, 5
_CORRELATION = np.full((_ASSETS, _ASSETS), 0.3) + 0.7 * np.eye(_ASSETS)


def measure() -> list[Row]:
    one = np.full(_ASSETS, 1.0 / _ASSETS)
    root = np.linalg.cholesky(_CORRELATION)

    def follow(degrees: float, margins: np.ndarray | None) -> float:
        began = time.process_time()
        paths = scenario_paths(
            one,
            0.02 / 252 * np.ones(_ASSETS),
            0.2 / sqrt(252) * np.ones(_ASSETS),
            _CORRELATION,
            degrees=degrees,
            marginal_degrees=margins,
            periods=_PERIODS,
            paths=_PATHS,
            seed=1,
        )
        outcomes(paths)
        return time.process_time() - began

    def bare() -> float:
        began = time.process_time()
        random = np.random.default_rng(1)
        for _ in range(_PATHS // 100):
            random.standard_normal((100 * _PERIODS, _ASSETS)) @ root.T
        return time.process_time() - began

    found = alternately(
        {
            "normal": lambda: follow(np.inf, None),
            "t": lambda: follow(4.0, None),
            "bare": bare,
        },
        _REPEATS,
    )
    return [
        Row(
            figure=f"{_PATHS:,} paths × {_PERIODS} days × {_ASSETS} assets, {name}",
            unit="CPU s",
            ours=median(found[key]),
            beside="its random numbers and matrix product in numpy",
            theirs=median(found["bare"]),
        )
        for key, name in (("normal", "normal"), ("t", "t copula and margins, 4 degrees"))
    ]


if __name__ == "__main__":
    run(measure)
