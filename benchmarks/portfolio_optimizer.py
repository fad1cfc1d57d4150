"""Frontier, risk parity, hierarchical risk parity and expected shortfall, beside other libraries.

The peers are no dependencies: where one is not installed (``pip install skfolio cvxpy clarabel``)
its rows are left out, and standard error says so.
"""

# ruff: noqa: PLC0415 - peers are imported only where they are installed

import importlib.util
import sys
import time
from collections.abc import Callable

import numpy as np

from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.estimation import Estimates, sample_covariance
from agents.portfolio_optimizer.expected_shortfall import mean_expected_shortfall
from agents.portfolio_optimizer.frontier import efficient_frontier
from agents.portfolio_optimizer.risk_parity import hierarchical_risk_parity, risk_parity
from benchmarks.measure import Row, alternately, median, run

_SEED = 20261123
_ASSETS, _PERIODS, _POINTS = 100, 1_000, 30
_SHORTFALL_ASSETS = 50
_ROUNDS = 9


def measure() -> list[Row]:
    rows: list[Row] = []
    for peer, compare in (
        ("cvxpy", _frontier_beside_cvxpy),
        ("skfolio", _frontier_beside_skfolio),
        ("skfolio", _parity_beside_skfolio),
        ("cvxpy", _shortfall_beside_cvxpy),
        ("clarabel", _shortfall_beside_clarabel),
    ):
        if importlib.util.find_spec(peer) is None:
            print(f"{compare.__name__[1:]} is left out: no {peer} here.", file=sys.stderr)
            continue
        rows += compare()
    return rows


def scenarios(assets: int, periods: int = _PERIODS) -> np.ndarray:
    """Daily returns with a common factor, fat tails and different means."""
    random = np.random.default_rng(_SEED)
    own = random.standard_t(5, (periods, assets)) * random.uniform(0.005, 0.015, assets)
    return random.normal(0.0005, 0.0003, assets) + own + 0.008 * random.normal(size=(periods, 1))


def _frontier_beside_cvxpy() -> list[Row]:
    import cvxpy as cp

    returns = scenarios(_ASSETS)
    mean, sigma = returns.mean(axis=0), sample_covariance(returns)
    exact = efficient_frontier(mean, sigma)
    targets = np.linspace(exact.returns[-1], exact.returns[0], _POINTS)
    # In units that the solver likes: per cent squared.
    root = np.linalg.cholesky(sigma * 1e4).T
    weights, target = cp.Variable(_ASSETS), cp.Parameter()
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(root @ weights)),
        [cp.sum(weights) == 1, weights >= 0, (mean * 1e2) @ weights >= target],
    )
    found: list[float] = []

    def theirs() -> None:
        found.clear()
        for value in targets:
            target.value = value * 1e2
            problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
            found.append(float(weights.value @ sigma @ weights.value))

    def ours() -> None:
        efficient_frontier(mean, sigma)

    theirs()
    at = [exact.at_return(float(value)) for value in targets]
    error = max(abs(w @ sigma @ w - v) for w, v in zip(at, found, strict=True))
    times = _timed({"ours": ours, "theirs": theirs}, repeats=10)
    name = f"{_POINTS} points by cvxpy + CLARABEL"
    return [
        _faster(f"exact frontier, n = {_ASSETS}, {len(exact.returns)} turning points", times, name),
        Row(figure="frontier: largest difference of variance", unit="", ours=float(error),
            beside="allowed", theirs=1e-9),
    ]  # fmt: skip


def _frontier_beside_skfolio() -> list[Row]:
    from skfolio.optimization import MeanRisk

    returns = scenarios(_ASSETS)
    peer = MeanRisk(efficient_frontier_size=_POINTS)

    def ours() -> None:
        efficient_frontier(returns.mean(axis=0), sample_covariance(returns))

    times = _timed({"ours": ours, "theirs": lambda: peer.fit(returns)}, repeats=10)
    exact = efficient_frontier(returns.mean(axis=0), sample_covariance(returns))
    sigma = exact.covariance
    error = max(
        abs(w @ sigma @ w - exact.at_return(float(w @ exact.expected)) @ sigma
            @ exact.at_return(float(w @ exact.expected)))
        for w in np.asarray(peer.weights_)
        if w @ exact.expected <= exact.returns[0]
    )  # fmt: skip
    return [
        _faster(f"exact frontier, n = {_ASSETS}", times, f"{_POINTS} points by skfolio"),
        Row(figure="frontier: largest difference of variance from skfolio", unit="",
            ours=float(error), beside="allowed", theirs=1e-9),
    ]  # fmt: skip


def _parity_beside_skfolio() -> list[Row]:
    from skfolio.optimization import HierarchicalRiskParity, RiskBudgeting

    rows: list[Row] = []
    for assets in (20, _ASSETS):
        returns = scenarios(assets)
        for name, ours, peer in (
            ("risk parity", risk_parity, RiskBudgeting()),
            ("hierarchical risk parity", hierarchical_risk_parity, HierarchicalRiskParity()),
        ):
            times = _timed(
                {
                    "ours": lambda ours=ours, returns=returns: ours(sample_covariance(returns)),
                    "theirs": lambda peer=peer, returns=returns: peer.fit(returns),
                },
                repeats=10,
            )
            error = np.abs(ours(sample_covariance(returns)) - peer.weights_).max()
            rows += [
                _faster(f"{name}, n = {assets}", times, "skfolio"),
                Row(figure=f"{name}, n = {assets}: largest difference of a weight", unit="",
                    ours=float(error), beside="allowed", theirs=1e-6),
            ]  # fmt: skip
    return rows


def _shortfall_estimates() -> Estimates:
    returns = scenarios(_SHORTFALL_ASSETS)
    symbols = tuple(map(str, range(_SHORTFALL_ASSETS)))
    return Estimates(symbols, returns.mean(axis=0), sample_covariance(returns), returns)


def _shortfall_beside_cvxpy() -> list[Row]:
    import cvxpy as cp

    known = _shortfall_estimates()
    periods = len(known.scenarios)
    weights, level, beyond = cp.Variable(_SHORTFALL_ASSETS), cp.Variable(), cp.Variable(periods)
    problem = cp.Problem(
        cp.Minimize(level + cp.sum(beyond) / (0.05 * periods)),
        [beyond >= 0, beyond >= -known.scenarios @ weights - level,
         cp.sum(weights) == 1, weights >= 0],
    )  # fmt: skip
    times = _timed(
        {
            "ours": lambda: mean_expected_shortfall(known, Constraints()),
            "theirs": lambda: problem.solve(solver=cp.CLARABEL),
        }
    )
    error = np.abs(mean_expected_shortfall(known, Constraints()).weights - weights.value).max()
    return [
        _faster(f"least expected shortfall, {periods} × {_SHORTFALL_ASSETS}", times,
                "cvxpy + CLARABEL"),
        Row(figure="expected shortfall: largest difference of a weight", unit="",
            ours=float(error), beside="allowed", theirs=1e-6),
    ]  # fmt: skip


def _shortfall_beside_clarabel() -> list[Row]:
    import clarabel
    from scipy import sparse

    known = _shortfall_estimates()
    periods, n = known.scenarios.shape
    width = n + 1 + periods
    cost = np.concatenate([np.zeros(n), [1.0], np.full(periods, 1.0 / (0.05 * periods))])
    rows = sparse.vstack(
        [
            sparse.hstack([np.ones((1, n)), sparse.csc_matrix((1, 1 + periods))]),
            sparse.hstack([-known.scenarios, -np.ones((periods, 1)), -sparse.eye(periods)]),
            sparse.hstack([-sparse.eye(n), sparse.csc_matrix((n, 1 + periods))]),
            sparse.hstack([sparse.csc_matrix((periods, n + 1)), -sparse.eye(periods)]),
        ]
    ).tocsc()
    right = np.concatenate([[1.0], np.zeros(rows.shape[0] - 1)])
    settings = clarabel.DefaultSettings()
    settings.verbose = False

    def theirs() -> None:
        cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(len(right) - 1)]
        empty = sparse.csc_matrix((width, width))
        clarabel.DefaultSolver(empty, cost, rows, right, cones, settings).solve()

    times = _timed(
        {"ours": lambda: mean_expected_shortfall(known, Constraints()), "theirs": theirs}
    )
    return [
        _faster(f"least expected shortfall, {periods} × {n}", times, "CLARABEL, matrices ready")
    ]


def _timed(
    measurements: dict[str, Callable[[], object]], repeats: int = 1
) -> dict[str, list[float]]:
    """Return the seconds of one call each, in turn; ours is repeated, since it is short."""

    def timer(name: str, call: Callable[[], object]) -> Callable[[], float]:
        count = repeats if name == "ours" else 1

        def once() -> float:
            began = time.perf_counter()
            for _ in range(count):
                call()
            return (time.perf_counter() - began) / count

        return once

    for call in measurements.values():
        call()
    return alternately({n: timer(n, c) for n, c in measurements.items()}, _ROUNDS)


def _faster(figure: str, times: dict[str, list[float]], beside: str) -> Row:
    ours, theirs = (1000 * median(times[name]) for name in ("ours", "theirs"))
    return Row(figure=figure, unit="ms", ours=ours, beside=beside, theirs=theirs)


if __name__ == "__main__":
    run(measure)
