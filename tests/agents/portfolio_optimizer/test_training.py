from dataclasses import replace

import numpy as np
import pytest

from agents.learning.loop import Samples, fit
from agents.network import PolicyNetwork
from agents.portfolio_optimizer import training
from domain.settings import TradingSettings

EDGE = training.INPUTS.index("momentum_21")


def episodes(seed, edge):
    """150 episodes of 12 periods and 5 assets, the first of which the classic weights leave out."""
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((150, 12, 5, len(training.INPUTS)))
    returns = 0.02 * random.standard_normal((150, 12, 5)) + edge * inputs[..., EDGE]
    classic = random.dirichlet(np.ones(5), (150, 12))
    classic[..., 0] = 0.0
    classic /= classic.sum(axis=-1, keepdims=True)
    return Samples(inputs, np.stack([returns, classic], axis=-1))


@pytest.mark.parametrize(("edge", "found"), [(0.006, True), (0.0, False)])
def test_a_planted_edge_is_found_and_none_is_not(edge, found):
    network = PolicyNetwork(len(training.INPUTS), 1, 8)
    training.policy(network)
    network.initialise(1)
    curve = fit(
        network,
        training._loss(TradingSettings()),
        episodes(1, edge),
        episodes(2, edge),
        replace(training.LEARNING, epochs=10),
    )
    assert all(np.isfinite(epoch).all() for epoch in curve)
    gain = curve[0].tuning - min(epoch.tuning for epoch in curve)
    # Log growth in per cent a period.
    assert (gain > 0.002) == found
