"""Small seeded estimates, and draws of others."""

import numpy as np
import pytest
from hypothesis import strategies as st

from agents.portfolio_optimizer.estimation import Estimates, sample_covariance


def make_scenarios(seed=7, periods=60, assets=5):
    """60 days of five assets with a common factor."""
    random = np.random.default_rng(seed)
    scale = np.resize([1.0, 1.5, 0.8, 2.0, 1.2], assets)
    own = 0.01 * random.standard_normal((periods, assets)) * scale
    return own + 0.006 * random.standard_normal((periods, 1)) + 0.0005


def make_estimates(scenarios):
    symbols = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: scenarios.shape[1]])
    return Estimates(symbols, scenarios.mean(axis=0), sample_covariance(scenarios), scenarios)


@pytest.fixture(scope="session")
def scenarios():
    return make_scenarios()


@pytest.fixture(scope="session")
def known(scenarios):
    return make_estimates(scenarios)


@pytest.fixture(scope="session")
def drawn():
    """Return the maker of estimates from a seed and a number of assets."""
    return lambda seed, assets: make_estimates(make_scenarios(seed, 60, assets))


@pytest.fixture(scope="session")
def seeds():
    return st.integers(0, 10_000)
