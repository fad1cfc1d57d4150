"""Planted regimes: how often the causal state is right, and the fit beside hmmlearn's.

A world of two states (daily volatility 0.8 and 2 %, stays of 50 days) makes bars from a walk
within the day. States are fitted on the first 2,000 days and told causally on the next 1,000.
Both fits begin at the same eight guesses and end at the same gain of likelihood; ours drops six
of them after three iterations.
"""

import logging
import sys
import time
from importlib.util import find_spec

import numpy as np

from agents.market_analyst.hidden_markov import filtered, fit
from agents.market_analyst.regime import fit_states, observations
from agents.price_history import Floats, PriceHistory
from benchmarks.measure import Row, alternately, median, run

SEEDS = range(20)
LEARNED, TOLD = 2000, 1000
VOLATILITIES = np.array([0.008, 0.02])
STAY = 0.98
GUESSES = np.linspace(0.2, 0.9, 8)
TOLERANCE = 1e-4
ROUNDS = 7


def planted(seed: int, steps: int = 26) -> tuple[np.ndarray, Floats]:
    random = np.random.default_rng(seed)
    days = LEARNED + TOLD + 1
    states = np.cumsum(random.random(days) > STAY) % 2
    moves = random.standard_normal((days, steps)) * VOLATILITIES[states, None] / steps**0.5
    within = np.c_[np.zeros(days), np.cumsum(moves, axis=1)]
    paths = np.exp(within + (np.cumsum(within[:, -1]) - within[:, -1])[:, None])
    high, low = paths.max(axis=1), paths.min(axis=1)
    bars = PriceHistory(np.arange(days), paths[:, 0], high, low, paths[:, -1], np.ones(days))
    return states[1:], observations(bars)


def accuracy(seed: int) -> float:
    states, days = planted(seed)
    learned = fit_states(days[:LEARNED])
    if learned is None or learned.model.states != 2:
        return 0.0
    told = learned.filtered(days[LEARNED:]).probabilities.argmax(axis=1)
    return float((told == states[LEARNED:]).mean())


def measure() -> list[Row]:
    found = np.array([accuracy(seed) for seed in SEEDS])
    half = 1.96 * found.std(ddof=1) / len(found) ** 0.5
    rows = [
        Row(
            figure=f"causal accuracy, mean of {len(SEEDS)} worlds", unit="share", ours=found.mean()
        ),
        Row(figure="  95 % interval, ±", unit="share", ours=half),
        Row(figure="  worst world", unit="share", ours=found.min()),
    ]
    if find_spec("hmmlearn") is None:
        print("skipped: the fit beside hmmlearn's (not installed)", file=sys.stderr)
        return rows
    days = planted(1)[1][:LEARNED]
    standard = (days - days.mean(axis=0)) / days.std(axis=0)
    cuts = np.quantile(standard[:, 1], GUESSES)
    guesses = np.stack([np.eye(2)[(standard[:, 1] > cut).astype(int)] for cut in cuts])
    guesses = 0.8 * guesses + 0.1
    seconds = alternately(
        {"ours": lambda: ours(standard, guesses), "theirs": lambda: theirs(standard, guesses)},
        ROUNDS,
    )
    return [
        *rows,
        Row(
            figure=f"fit of {LEARNED} days from {len(guesses)} guesses",
            unit="CPU ms",
            ours=median(seconds["ours"]) * 1e3,
            beside="hmmlearn",
            theirs=median(seconds["theirs"]) * 1e3,
        ),
    ]


def ours(standard: Floats, guesses: Floats) -> float:
    began = time.process_time()
    found = fit(standard, guesses, tolerance=TOLERANCE)
    filtered(found.model, standard)
    return time.process_time() - began


def theirs(standard: Floats, guesses: Floats) -> float:
    from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415 (a peer, not a dependency)

    logging.getLogger("hmmlearn").setLevel(logging.ERROR)
    starts = [fit(standard, guess[None], most=1).model for guess in guesses]
    began = time.process_time()
    fits = []
    for start in starts:
        model = GaussianHMM(
            2,
            covariance_type="full",
            n_iter=200,
            tol=TOLERANCE * len(standard),
            init_params="",
            params="tmc",
            min_covar=1e-3,
            covars_prior=0,
        )
        model.startprob_, model.transmat_ = start.initial, start.transitions
        model.means_, model.covars_ = start.means, start.covariances
        fits.append(model.fit(standard))
    max(fits, key=lambda model: model.monitor_.history[-1]).predict_proba(standard)
    return time.process_time() - began


if __name__ == "__main__":
    run(measure)
