import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from agents.learning.environments.liquidation import LiquidationEnvironment, LiquidationWorld
from evaluation.liquidation import best_holdings, even_holdings, utility


@pytest.mark.parametrize("periods", [2, 5, 20])
def test_no_schedule_that_a_general_optimiser_finds_is_better(periods):
    world = LiquidationWorld(periods=periods)

    def scaled(shares):
        return utility(world, np.append(shares, 0.0) * 1e6) / 1e6

    start = even_holdings(world)[:-1] / 1e6
    found = minimize(scaled, start, tol=1e-12)
    best = best_holdings(world)
    assert utility(world, best) / 1e6 == pytest.approx(found.fun, rel=1e-8)
    assert best[:-1] / 1e6 == pytest.approx(found.x, abs=1e-4)


def test_without_risk_aversion_the_best_is_twap():
    world = LiquidationWorld(risk_aversion=0.0)
    assert best_holdings(world) == pytest.approx(even_holdings(world))


def test_the_paper_s_first_trade():
    # Almgren & Chriss (2000), table 1 and figure 2: κ ≈ 0.61 a day for λ = 1e-6.
    world = LiquidationWorld(periods=5_000)
    best = best_holdings(world)
    ratio = best[1_000] / best[0]
    kappa = 0.61
    assert ratio == pytest.approx(np.sinh(kappa * 4.0) / np.sinh(kappa * 5.0), rel=0.01)


@given(shares=st.lists(st.floats(0.01, 0.99), min_size=4, max_size=4))
@settings(deadline=None, max_examples=25)
def test_the_environment_pays_what_the_formula_says(shares):
    world = LiquidationWorld()
    environment = LiquidationEnvironment(world, episodes=1, priced=False)
    environment.reset(torch.Generator())
    total, holdings, left = 0.0, [], 1.0
    for period, share in enumerate([*shares, 0.5]):
        action = np.log(share / (1 - share)) + np.log(max(world.periods - period - 1, 1))
        total += float(environment.step(torch.tensor([[action]])).reward[0])
        left *= 1 - share if period < 4 else 0.0
        holdings.append(left * world.shares)
    assert -total / 1e4 * world.shares * world.price == pytest.approx(
        utility(world, np.array(holdings)), rel=1e-6
    )
