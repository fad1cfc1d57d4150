import torch

from agents.learning.actor_critic import ActorCritic
from agents.learning.cloning import clone
from agents.learning.environments.liquidation import LiquidationEnvironment, LiquidationWorld
from agents.learning.environments.positions import PositionEnvironment


def test_a_continuous_policy_does_what_the_classic_one_does():
    world = LiquidationEnvironment(LiquidationWorld(periods=10), episodes=16)

    def front_loaded(observation):
        return observation[:, 1:] * 2.0

    policy = ActorCritic(2, world.actions, 0, (16,))
    loss = clone(policy, front_loaded, world, seed=0)
    assert loss < 1e-3
    observation = world.reset(torch.Generator().manual_seed(1))
    for _ in range(world.length):
        mine, theirs = policy.best(observation), front_loaded(observation)
        assert float((mine - theirs).abs().max()) < 0.1
        observation = world.step(theirs).observation


def test_choices_are_cloned_too():
    features = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    world = PositionEnvironment(features, torch.zeros(300), cost=0.0, episodes=32, length=20)

    def by_the_first(observation):
        return (observation[:, 0] > 0).long() * 2

    policy = ActorCritic(world.observation_size, world.actions, 0, (16,))
    clone(policy, by_the_first, world, seed=0)
    states = torch.cat([features, torch.zeros(300, 1)], 1)
    assert float((policy.best(states) == by_the_first(states)).float().mean()) > 0.95
