import numpy as np
import pytest
import torch

from agents.learning.actor_critic import ActorCritic
from agents.learning.checkpoints import read, write
from agents.learning.environments.liquidation import LiquidationEnvironment, LiquidationWorld
from agents.learning.environments.positions import PositionEnvironment
from agents.learning.proximal_policy import (
    ProximalPolicy,
    ProximalPolicySettings,
    estimated,
)
from evaluation.liquidation import best_holdings, even_holdings, utility


def learner(seed=1, updates=4, episodes=64, hidden=(16,)):
    environment = LiquidationEnvironment(LiquidationWorld(), episodes=episodes)
    policy = ActorCritic(environment.observation_size, environment.actions, seed, hidden)
    return ProximalPolicy(environment, policy, ProximalPolicySettings(seed, updates, discount=1.0))


def weights(found):
    return {name: tensor.clone() for name, tensor in found.policy.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_advantages_are_the_weighted_sums_of_what_was_better_than_expected():
    rewards = torch.tensor([[1.0], [0.0], [2.0]])
    values = torch.tensor([[0.5], [1.0], [0.0], [4.0]])
    advantages, targets = estimated(rewards, values, discount=0.5, trace=0.5)
    # δ = 1 + .5 - .5, 0 + 0 - 1, 2 + 2 - 0, and each counts a quarter a step later.
    assert advantages.flatten().tolist() == pytest.approx([1.0, 0.0, 4.0])
    assert targets.flatten().tolist() == pytest.approx([1.5, 1.0, 4.0])


def test_without_a_trace_of_the_future_only_the_next_value_counts():
    rewards, values = torch.ones(4, 2), torch.zeros(5, 2)
    advantages, _ = estimated(rewards, values, discount=0.9, trace=0.0)
    assert torch.equal(advantages, rewards)
    advantages, _ = estimated(rewards, values, discount=1.0, trace=1.0)
    assert advantages[:, 0].tolist() == [4.0, 3.0, 2.0, 1.0]


def test_the_same_seed_learns_the_same_and_another_seed_does_not():
    found = [learner(seed) for seed in (1, 1, 2)]
    for each in found:
        each.learn()
    first, again, other = map(weights, found)
    assert same(first, again)
    assert not same(first, other)


def test_a_stopped_learner_goes_on_bit_for_bit(tmp_path):
    whole = learner()
    whole.learn()
    stopped = learner()
    stopped.update()
    stopped.update()
    write(tmp_path / "at-two", stopped.checkpoint())
    resumed = learner(seed=1)
    resumed.resume(read(tmp_path / "at-two"))
    assert len(resumed.learn()) == 2
    assert same(weights(whole), weights(resumed))
    mine, theirs = whole.checkpoint(), resumed.checkpoint()
    assert same(mine.tensors, theirs.tensors)
    assert mine.numbers == theirs.numbers == {"rounds": 4}


def test_one_seed_comes_near_the_closed_form_of_almgren_and_chriss():
    # Over 10 seeds: benchmarks/planted_worlds.py.
    world = LiquidationWorld()
    found = learner(seed=3, updates=25, episodes=512, hidden=(32,))
    found.learn()
    still = LiquidationEnvironment(world, episodes=1, priced=False)
    observation = still.reset(torch.Generator().manual_seed(0))
    holdings = []
    for _ in range(still.length):
        observation, _ = still.step(found.policy.best(observation))
        holdings.append(float(still.remaining[0]))
    best = utility(world, best_holdings(world))
    assert best <= utility(world, np.array(holdings)) < 1.02 * best
    assert 1.3 * best < utility(world, even_holdings(world))


def test_choices_are_learned_too():
    # Yesterday's feature says tomorrow's sign: hold it.
    generator = torch.Generator().manual_seed(2)
    feature = torch.randn(400, 1, generator=generator)
    returns = 0.01 * feature[:, 0].sign().double()
    environment = PositionEnvironment(feature, returns, cost=0.0, episodes=64, length=16)
    policy = ActorCritic(environment.observation_size, environment.actions, 0, (16,))
    ProximalPolicy(environment, policy, ProximalPolicySettings(0, 30, discount=0.5)).learn()
    held = policy.best(torch.cat([feature, torch.zeros(400, 1)], 1)) - 1
    assert float((held == feature[:, 0].sign()).float().mean()) > 0.95
