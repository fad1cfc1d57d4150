import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.environments.liquidation import LiquidationEnvironment, LiquidationWorld


def played(world, actions, *, priced=False, episodes=1, seed=0):
    """Return holdings after each period (periods × episodes) and the episodes' returns."""
    environment = LiquidationEnvironment(world, episodes=episodes, priced=priced)
    environment.reset(torch.Generator().manual_seed(seed))
    holdings, total = [], torch.zeros(episodes, dtype=torch.float64)
    for action in actions:
        total += environment.step(torch.full((episodes, 1), action)).reward
        holdings.append(environment.remaining)
    return torch.stack(holdings), total


def test_action_zero_is_the_even_schedule():
    holdings, _ = played(LiquidationWorld(), [0.0] * 5)
    assert holdings[:, 0].tolist() == pytest.approx([8e5, 6e5, 4e5, 2e5, 0.0])


@given(actions=st.lists(st.floats(-30, 30), min_size=8, max_size=8))
@settings(deadline=None, max_examples=30)
def test_everything_is_sold_whatever_the_actions(actions):
    holdings, _ = played(LiquidationWorld(periods=8), actions)
    sold = -np.diff(np.concatenate([[1e6], holdings[:, 0].numpy()]))
    assert sold.min() >= 0.0
    assert sold.sum() == pytest.approx(1e6, abs=1e-3)
    assert holdings[-1, 0] == 0.0


def test_even_selling_costs_what_the_paper_says():
    world = LiquidationWorld()
    # Almgren & Chriss (2000), equations 9 and 10 for constant selling, plus λ times the variance.
    n, x, t = world.periods, world.shares, world.days
    expected = (
        0.5 * world.permanent * x**2
        + world.half_spread * x
        + (world.temporary - 0.5 * world.permanent * world.interval) * x**2 / t
    )
    variance = world.volatility**2 * x**2 * t * (1 - 1 / n) * (1 - 1 / (2 * n)) / 3
    _, total = played(world, [0.0] * 5)
    utility = -float(total[0]) / 1e4 * x * world.price
    assert utility == pytest.approx(expected + world.risk_aversion * variance, rel=1e-9)


def test_the_price_s_own_moves_have_the_paper_s_variance_and_mean_zero():
    world, episodes = LiquidationWorld(), 20_000
    _, moved = played(world, [0.0] * 5, priced=True, episodes=episodes, seed=4)
    _, still = played(world, [0.0] * 5)
    deviation = math.sqrt(world.volatility**2 * world.shares**2 * 5 * 0.8 * 0.9 / 3)
    deviation *= 1e4 / (world.shares * world.price)
    assert float(moved.std()) == pytest.approx(deviation, rel=0.03)
    assert float(moved.mean() - still[0]) == pytest.approx(0.0, abs=4 * deviation / episodes**0.5)
