import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.portfolio_optimizer.episodes import run_episodes

SEEDS = st.integers(0, 10_000)


@given(SEEDS, st.floats(0.0, 0.01))
def test_cash_and_positions_are_wealth_in_every_period(seed, cost):
    random = np.random.default_rng(seed)
    weights = 0.9 * random.dirichlet(np.ones(4), (3, 6))
    returns = 0.1 * random.standard_normal((3, 6, 4))
    found = run_episodes(torch.tensor(weights), torch.tensor(returns), cost, torch.zeros(3, 4))
    for episode in range(3):
        cash, positions = 1.0, np.zeros(4)
        for period in range(6):
            wealth = cash + positions.sum()
            orders = weights[episode, period] * wealth - positions
            cash -= orders.sum() + cost * np.abs(orders).sum()
            positions = (positions + orders) * (1.0 + returns[episode, period])
            grown = np.log((cash + positions.sum()) / wealth)
            assert abs(grown - float(found.log_growth[episode, period])) < 1e-12
            assert abs(np.abs(orders).sum() / wealth - float(found.traded[episode, period])) < 1e-12


def test_the_gradient_is_that_of_small_changes():
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(2, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    returns = 0.05 * torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda w: run_episodes(w, returns, 0.002).log_growth, weights)
