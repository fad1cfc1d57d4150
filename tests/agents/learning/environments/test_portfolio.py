"""Exact accounting: whatever is traded, cash + Σ positions · price is what the fees left."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.environments.portfolio import Account, PortfolioEnvironment, weights_of
from domain.errors import InvalidValue

DAYS = 40


def market(seed, assets, days=DAYS):
    generator = torch.Generator().manual_seed(seed)
    steps = 0.03 * torch.randn(days, assets, generator=generator, dtype=torch.float64)
    prices = 10.0 ** torch.linspace(-2, 4, assets, dtype=torch.float64) * torch.exp(steps.cumsum(0))
    return prices, torch.randn(days, 2, generator=generator)


@given(
    seed=st.integers(0, 10_000),
    assets=st.integers(1, 6),
    fee=st.sampled_from([0.0, 1e-4, 1e-3, 0.02, 0.2]),
    scale=st.sampled_from([0.0, 1.0, 30.0]),
)
@settings(deadline=None, max_examples=40)
def test_wealth_is_what_prices_and_fees_made_of_it(seed, assets, fee, scale):
    prices, features = market(seed, assets)
    world = PortfolioEnvironment(prices, features, fee=fee, episodes=16, length=20)
    generator = torch.Generator().manual_seed(seed)
    world.reset(generator)
    for _ in range(world.length):
        before, traded_at = world.account, world.prices
        reward = world.step(scale * torch.randn(16, assets, generator=generator)).reward
        after, now = world.account, world.prices
        bought = after.positions - before.positions
        fees = fee * (bought.abs() * traded_at).sum(-1)
        gained = (after.positions * (now - traded_at)).sum(-1)
        notional = before.wealth(traded_at)
        assert after.wealth(now) == pytest.approx(
            (notional + gained - fees).numpy(), abs=1e-9 * float(notional.min())
        )
        # Cash moves by what was traded and its fees, by nothing else, and is never lent.
        spent = (bought * traded_at).sum(-1) + fees
        assert after.cash == pytest.approx(
            (before.cash - spent).numpy(), abs=1e-9 * float(notional.min())
        )
        assert float(after.cash.min()) >= -1e-12
        assert float(after.positions.min()) >= 0.0
        assert reward.numpy() == pytest.approx(
            torch.log(after.wealth(now) / notional).numpy(), abs=1e-9
        )


def test_weights_are_reached_but_for_the_fee_of_the_trade():
    prices = torch.tensor([10.0, 40.0], dtype=torch.float64)
    account = Account(torch.tensor([100.0], dtype=torch.float64), torch.zeros(1, 2).double())
    after = account.rebalanced(torch.tensor([[0.5, 0.5]]).double(), prices, 0.01)
    # 100 in cash; the fee's bound is 1 / 0.99, the rest is invested half and half.
    assert after.positions[0].tolist() == pytest.approx([4.9494949, 1.2373737], abs=1e-6)
    assert float(after.wealth(prices)[0]) == pytest.approx(100 - 0.98989899, abs=1e-6)
    assert float(after.cash[0]) == pytest.approx(0.0202020, abs=1e-6)


def test_holding_still_costs_nothing():
    prices, features = market(3, 3)
    world = PortfolioEnvironment(prices, features, fee=0.01, episodes=4, length=10)
    world.reset(torch.Generator().manual_seed(1))
    world.rebalance(torch.zeros(4, 3).double())
    assert torch.equal(world.account.cash, torch.ones(4).double())


def test_the_observation_is_the_day_s_features_and_the_weights_held():
    prices, features = market(4, 2)
    world = PortfolioEnvironment(prices, features, fee=0.001, episodes=3, length=DAYS - 1)
    first = world.reset(torch.Generator().manual_seed(1))
    assert torch.equal(first[:, :2], features[0].repeat(3, 1))
    assert not first[:, 2:].any()
    after = world.rebalance(torch.tensor([[0.3, 0.6]] * 3).double()).observation
    assert torch.equal(after[:, :2], features[1].repeat(3, 1))
    held = world.account.positions * prices[1]
    expected = held / world.account.wealth(prices[1]).unsqueeze(-1)
    assert after[:, 2:].tolist() == expected.float().tolist()


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 5.0, 500.0]))
@settings(deadline=None, max_examples=20)
def test_any_scores_are_weights(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(8, 5, generator=generator, dtype=torch.float64)
    weights = weights_of(scores)
    assert float(weights.min()) >= 0.0
    assert float(weights.sum(-1).max()) <= 1.0 + 1e-12
    with_cash = torch.cat([scores, torch.zeros(8, 1)], 1).softmax(-1)[:, :5]
    assert weights.numpy() == pytest.approx(with_cash.numpy(), abs=1e-12)


def test_the_same_generator_plays_the_same_episodes():
    prices, features = market(5, 3)

    def played():
        world = PortfolioEnvironment(prices, features, fee=0.001, episodes=8, length=5)
        seen = [world.reset(torch.Generator().manual_seed(9))]
        seen += [world.step(torch.ones(8, 3)).observation for _ in range(5)]
        return torch.stack(seen)

    assert torch.equal(played(), played())


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_prices_are_refused(price):
    prices, features = market(6, 2)
    prices[7, 1] = price
    with pytest.raises(InvalidValue, match="price"):
        PortfolioEnvironment(prices, features, fee=0.001, episodes=2, length=5)


def test_too_few_days_are_refused():
    prices, features = market(6, 2)
    with pytest.raises(InvalidValue, match="days"):
        PortfolioEnvironment(prices, features, fee=0.001, episodes=2, length=DAYS)
