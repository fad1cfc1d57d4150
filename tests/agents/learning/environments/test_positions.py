import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.environments.positions import PositionEnvironment
from domain.errors import InvalidValue


@given(seed=st.integers(0, 10_000), cost=st.sampled_from([0.0, 1e-4, 0.01]))
@settings(deadline=None, max_examples=25)
def test_rewards_sum_to_what_was_held_less_what_changes_cost(seed, cost):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(30, 2, generator=generator)
    returns = 0.01 * torch.randn(30, generator=generator).double()
    world = PositionEnvironment(features, returns, cost=cost, episodes=6, length=29)
    world.reset(generator)
    actions = torch.randint(0, 3, (29, 6), generator=generator)
    earned = torch.stack([world.step(each).reward for each in actions]).sum(0)
    levels = torch.cat([torch.zeros(1, 6), actions - 1]).double()
    changes = levels.diff(dim=0).abs().sum(0)
    expected = (levels[1:] * returns[:29, None]).sum(0) - cost * changes
    assert earned.numpy() == pytest.approx(expected.numpy(), abs=1e-9)


def test_the_observation_is_known_before_the_return_it_earns():
    features = torch.arange(5.0).unsqueeze(-1)
    returns = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    world = PositionEnvironment(features, returns, cost=0.0, episodes=1, length=4)
    assert world.reset(torch.Generator().manual_seed(0)).tolist() == [[0.0, 0.0]]
    observation, reward = world.step(torch.tensor([2]))
    assert observation.tolist() == [[1.0, 1.0]]
    assert reward.tolist() == pytest.approx([0.1])


def test_unequal_histories_are_refused():
    with pytest.raises(InvalidValue, match="days"):
        PositionEnvironment(torch.zeros(5, 1), torch.zeros(4), cost=0.0, episodes=1, length=2)
