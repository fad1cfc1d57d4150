"""Value at risk beside what it is computed with, the volatility forecast beside EWMA and GARCH.

The forecast reads `shared/data/equities_daily.parquet` (``QUORUM_TEST_DATA``) and is measured on
the days from 2015 on, which nothing was fitted on; GARCH(1,1) is that of `arch`. Where either is
absent its row is left out, and the reason printed.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import torch
from scipy import stats

from agents.indicators import compute_frame
from agents.learning.loop import one_thread
from agents.learning.samples import Panel, panel, split, within
from agents.network import PolicyNetwork, tensor_of
from agents.price_history import Floats, price_histories
from agents.risk_manager.monte_carlo_value_at_risk import simulate_losses, simulated
from agents.risk_manager.training import INPUTS, LEARNING, learn, policy, qlike
from agents.risk_manager.value_at_risk import historical
from benchmarks.measure import Row, alternately, median, run
from evaluation.significance import hac_interval

_REPEATS = 15
_LOSSES, _ASSETS, _SCENARIOS = 1_000_000, 50, 100_000
_DATA = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / "equities_daily.parquet"
_LEARNED_UNTIL = datetime(2015, 1, 1, tzinfo=UTC)
_END = datetime(2021, 4, 1, tzinfo=UTC)
_EVERY = 4  # symbols: a quarter of the panel, in order of names
_SEEDS = (1, 2, 3)
_FORECAST_DAYS = 5


def measure() -> list[Row]:
    return [_historical(), *_monte_carlo(), *_volatility()]


def _historical() -> Row:
    losses = np.random.default_rng(1).standard_t(4, _LOSSES)
    at = int(0.99 * _LOSSES)
    found = alternately(
        {
            "ours": lambda: _seconds(lambda: historical(losses)),
            "numpy": lambda: _seconds(lambda: np.partition(losses, at)),
        },
        _REPEATS,
    )
    return Row(
        figure="historical VaR and expected shortfall of a million losses",
        unit="ms",
        ours=1e3 * median(found["ours"]),
        beside="numpy.partition, the quantile alone",
        theirs=1e3 * median(found["numpy"]),
    )


def _monte_carlo() -> list[Row]:
    random = np.random.default_rng(2)
    loadings = random.standard_normal((_ASSETS, _ASSETS))
    covariance = loadings @ loadings.T
    deviations = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviations, deviations)
    exposures = random.dirichlet(np.ones(_ASSETS)) * 0.02
    peer = stats.multivariate_normal(np.zeros(_ASSETS), correlation)
    at = int(0.99 * _SCENARIOS)

    def theirs() -> Floats:
        draws = peer.rvs(_SCENARIOS, random_state=np.random.default_rng(3))
        return np.partition(-(draws @ exposures), at)

    def ours(seed: int = 3):
        return simulated(
            simulate_losses(exposures, correlation, scenarios=_SCENARIOS, seed=seed), 0.99
        )

    found = alternately(
        {"ours": lambda: _seconds(ours), "scipy": lambda: _seconds(theirs)}, _REPEATS
    )
    closed = stats.norm.ppf(0.99) * float(np.sqrt(exposures @ correlation @ exposures))
    drawn = [ours(seed) for seed in range(100)]
    inside = np.mean([abs(d.value_at_risk - closed) <= d.value_at_risk_error for d in drawn])
    return [
        Row(
            figure="Monte Carlo VaR, 100,000 scenarios of 50 assets",
            unit="ms",
            ours=1e3 * median(found["ours"]),
            beside="scipy multivariate_normal",
            theirs=1e3 * median(found["scipy"]),
        ),
        Row(
            figure="closed form inside the stated 95 % interval, 100 seeds",
            unit="% of seeds",
            ours=100 * float(inside),
        ),
    ]


def _volatility() -> list[Row]:
    if not _DATA.exists():
        print(f"volatility forecast left out: {_DATA} is absent", file=sys.stderr)
        return []
    bars = _bars()
    features = compute_frame(bars)
    known = split(panel(bars, features, _LEARNED_UNTIL))
    later = within(panel(bars, features, _END), _LEARNED_UNTIL, _END)
    ours = [_learned(known, later, seed) for seed in _SEEDS]
    ewma = 2.0 * later.columns(("log_volatility_ewma",))[:, 0]
    peers = {"exponentially weighted, 0.94": ewma, "GARCH(1,1) of arch": _garch(bars, later)}
    loss = np.mean([qlike(later.forward_variance, forecast) for forecast in ours], axis=0)
    rows: list[Row] = []
    for name, forecast in peers.items():
        if forecast is None:
            continue
        theirs = qlike(later.forward_variance, forecast)
        low, high = _interval(later, loss - theirs)
        rows.append(
            Row(
                figure=f"volatility forecast over 5 days (difference {low:+.3f} … {high:+.3f})",
                unit="QLIKE",
                ours=float(loss.mean()),
                beside=name,
                theirs=float(theirs.mean()),
            )
        )
    return rows


def _bars() -> pl.DataFrame:
    raw = pl.read_parquet(_DATA).with_columns(pl.col("symbol").cast(pl.String))
    chosen = sorted(raw["symbol"].unique())[::_EVERY]
    factor = pl.col("adj_close") / pl.col("close")
    return raw.filter(pl.col("symbol").is_in(chosen)).select(
        "symbol",
        timestamp=pl.col("date").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=21),
        open=pl.col("open") * factor,
        high=pl.col("high") * factor,
        low=pl.col("low") * factor,
        close="adj_close",
        volume=pl.col("volume").cast(pl.Float64),
        raw_close="close",
    )


def _learned(slices, later: Panel, seed: int) -> Floats:
    with one_thread(), torch.inference_mode(mode=False):
        network = PolicyNetwork(len(INPUTS), 1, LEARNING.hidden_units)
        policy(network)
        network.initialise(seed)
        learn(network, SimpleNamespace(slices=slices), replace(LEARNING, seed=seed))
        return network(tensor_of(np.ascontiguousarray(later.columns(INPUTS)))).numpy()[:, 0]


def _garch(bars: pl.DataFrame, later: Panel) -> Floats | None:
    """Return log variances averaged over the horizon, fitted by symbol on the learned years."""
    try:
        from arch import arch_model  # noqa: PLC0415 (a peer, not a dependency)
    except ImportError:
        print("GARCH(1,1) left out: arch is not installed", file=sys.stderr)
        return None
    cut = int(_LEARNED_UNTIL.timestamp() * 1e6)
    forecast = np.full(later.rows, np.nan)
    for symbol, history in price_histories(bars).items():
        returns, times = 100 * history.log_returns(), history.times[1:]
        fitted = arch_model(returns, mean="Zero", p=1, q=1).fit(
            last_obs=int((times < cut).sum()), disp="off"
        )
        constant, news, persistence = fitted.params
        variance = np.empty(len(returns) + 1)
        variance[0] = returns[:250].var()
        for day, moved in enumerate(returns):
            variance[day + 1] = constant + news * moved**2 + persistence * variance[day]
        decay, mean = news + persistence, constant / (1 - news - persistence)
        ahead = np.mean(
            [mean + decay**day * (variance[1:] - mean) for day in range(_FORECAST_DAYS)], axis=0
        )
        own = later.symbols == symbol
        forecast[own] = np.log(ahead[np.searchsorted(times, later.times[own])] / 1e4)
    return forecast


def _interval(rows: Panel, difference: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference; one day is one observation."""
    _, day = np.unique(rows.times, return_inverse=True)
    daily = np.bincount(day, weights=difference) / np.bincount(day)
    found = hac_interval(daily, lags=2 * _FORECAST_DAYS)
    return found.lower, found.upper


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    run(measure)
