import pytest
import torch

from agents.learning.action_values import ActionValues
from agents.learning.checkpoints import read, write
from agents.learning.deep_q import DeepQ, DeepQSettings
from agents.learning.environments.positions import PositionEnvironment
from agents.learning.replay import PrioritizedReplay, Transitions, UniformReplay


def world(episodes=32, length=20):
    generator = torch.Generator().manual_seed(2)
    feature = torch.randn(500, 1, generator=generator)
    noise = torch.randn(500, generator=generator)
    returns = 0.01 * (feature[:, 0].sign() + 0.5 * noise).double()
    return PositionEnvironment(feature, returns, cost=0.0, episodes=episodes, length=length)


def learner(*, dueling=False, prioritized=False, **changes):
    network = ActionValues(2, 3, 0, (16,), dueling=dueling)
    replay = PrioritizedReplay(4_000) if prioritized else UniformReplay(4_000)
    settings = DeepQSettings(
        **{"seed": 0, "episodes": 8, "discount": 0.5, "reward_scale": 100.0} | changes
    )
    return DeepQ(world(), network, replay, settings)


def test_a_dueling_head_is_a_value_and_advantages_that_sum_to_nothing():
    network = ActionValues(2, 3, 0, (4,), dueling=True)
    state = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(network(state).mean(-1), network.body(state)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("double", "expected"),
    # The network prefers action 1; its target values that at 5, and action 0 at 9.
    [(True, 1.0 + 0.5 * 5.0), (False, 1.0 + 0.5 * 9.0)],
)
def test_the_double_estimator_lets_one_choose_and_the_other_value(double, expected):
    found = learner(double=double)

    def always(network, values):
        for parameter in network.body.parameters():
            parameter.detach().zero_()
        network.body[-1].bias.detach().copy_(torch.tensor(values))

    always(found.network, [2.0, 3.0, 1.0])
    always(found.target, [9.0, 5.0, 0.0])
    row = Transitions(
        torch.zeros(1, 2), torch.tensor([2]), torch.ones(1), torch.zeros(1, 2), torch.zeros(1)
    )
    assert float(found._errors(row).detach()[0]) == pytest.approx(1.0 - expected)
    last = row._replace(ended=torch.ones(1))
    assert float(found._errors(last).detach()[0]) == pytest.approx(0.0)


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
def test_a_signal_is_learned_to_be_followed(prioritized, dueling):
    found = learner(dueling=dueling, prioritized=prioritized)
    found.learn()
    signal = torch.linspace(-2, 2, 40).unsqueeze(-1)
    held = found.network.best(torch.cat([signal, torch.zeros(40, 1)], 1)) - 1
    assert float((held == signal[:, 0].sign()).float().mean()) > 0.9


@pytest.mark.parametrize("prioritized", [False, True])
def test_a_stopped_learner_goes_on_bit_for_bit(tmp_path, prioritized):
    whole = learner(prioritized=prioritized, episodes=4)
    whole.learn()
    stopped = learner(prioritized=prioritized, episodes=4)
    stopped.play()
    write(tmp_path / "checkpoint", stopped.checkpoint())
    resumed = learner(prioritized=prioritized, episodes=4)
    resumed.resume(read(tmp_path / "checkpoint"))
    resumed.learn()
    mine, theirs = whole.checkpoint(), resumed.checkpoint()
    assert mine.numbers == theirs.numbers == {"played": 4}
    assert mine.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(mine.tensors[name], theirs.tensors[name]) for name in mine.tensors)
