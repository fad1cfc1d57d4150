"""Deep Q learning (Mnih et al., 2015) on batched environments, from a replay buffer.

With the double estimator (van Hasselt et al., 2016): the network chooses the next action, the
slowly following target network values it.
"""

from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from agents.learning.action_values import ActionValues, follow
from agents.learning.checkpoints import Checkpoint, restore, snapshot
from agents.learning.environments.interface import Environment
from agents.learning.loop import one_thread
from agents.learning.replay import Replay, Transitions
from agents.learning.schedules import Linear


@dataclass(frozen=True)
class DeepQSettings:
    """How action values are learned.

    Parameters
    ----------
    episodes
        How many batches of episodes are played.
    learning_steps
        Gradient steps after each step of the environment.
    exploration
        Share of actions taken at random.
    target_share
        Share of the network that its target takes over after each gradient step.
    """

    seed: int
    episodes: int = 20
    batch_rows: int = 512
    learning_steps: int = 1
    discount: float = 0.95
    learning_rate: Linear = field(default_factory=lambda: Linear(2e-3, 2e-4))
    exploration: Linear = field(default_factory=lambda: Linear(1.0, 0.05))
    target_share: float = 0.02
    double: bool = True
    reward_scale: float = 1.0


class DeepQ:
    """Learns the values of an environment's discrete actions."""

    def __init__(
        self,
        environment: Environment,
        network: ActionValues,
        replay: Replay,
        settings: DeepQSettings,
    ) -> None:
        self.environment, self.network, self.replay = environment, network, replay
        self.settings = settings
        self.target = deepcopy(network)
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._optimizer = torch.optim.Adam(network.parameters())
        self.played = 0

    def learn(self) -> None:
        """Play all batches of episodes that are left and learn on the way."""
        while self.played < self.settings.episodes:
            self.play()

    def play(self) -> None:
        """Play one batch of episodes and learn on the way."""
        with one_thread():
            self._episode(self.played / self.settings.episodes)
        self.played += 1

    def checkpoint(self) -> Checkpoint:
        """Return all that the next episode depends on, the replay buffer included."""
        own = {f"target.{name}": tensor for name, tensor in self.target.state_dict().items()}
        own |= {f"replay.{name}": tensor for name, tensor in self.replay.tensors().items()}
        return snapshot(self.network, self._optimizer, self._generator, own, played=self.played)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, bit for bit as if learning had not stopped."""
        own = restore(checkpoint, self.network, self._optimizer, self._generator)
        parts: dict[str, dict[str, Tensor]] = {"target": {}, "replay": {}}
        for key, tensor in own.items():
            part, _, name = key.partition(".")
            parts[part][name] = tensor
        self.target.load_state_dict(parts["target"])
        self.replay.restore(parts["replay"])
        self.played = checkpoint.numbers["played"]

    def _episode(self, progress: float) -> None:
        world, settings = self.environment, self.settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate.at(progress)
        state = world.reset(self._generator)
        for step in range(world.length):
            self.network.normalise.observe(state)
            action = self._explored(state, settings.exploration.at(progress))
            next_state, reward = world.step(action)
            ended = torch.full_like(reward, float(world.ends and step == world.length - 1))
            scaled = (reward * settings.reward_scale).float()
            self.replay.add(Transitions(state, action, scaled, next_state, ended.float()))
            for _ in range(settings.learning_steps):
                self._improve()
            state = next_state

    def _explored(self, state: Tensor, share: float) -> Tensor:
        best = self.network.best(state)
        choices = int(self.network(self.network.normalise(state[:1])).shape[-1])
        at_random = torch.randint(0, choices, best.shape, generator=self._generator)
        explores = torch.rand(best.shape, generator=self._generator) < share
        return torch.where(explores, at_random, best)

    def _improve(self) -> None:
        batch = self.replay.draw(self.settings.batch_rows, self._generator)
        rows = batch.transitions
        errors = self._errors(rows)
        loss = smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none")
        self._optimizer.zero_grad(set_to_none=True)
        (loss * batch.weights).mean().backward()  # pyright: ignore[reportUnknownMemberType]
        self._optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        self.replay.learned(batch, errors)
        follow(self.target, self.network, self.settings.target_share)

    def _errors(self, rows: Transitions) -> Tensor:
        """Return Q(s, a) minus its target, per row."""
        normalise = self.network.normalise
        with torch.no_grad():
            ahead = normalise(rows.next_state)
            valued: Tensor = self.target(ahead)
            chooser: Tensor = self.network(ahead) if self.settings.double else valued
            value = valued.gather(-1, chooser.argmax(-1, keepdim=True)).squeeze(-1)
            wanted = rows.reward + self.settings.discount * (1.0 - rows.ended) * value
        values: Tensor = self.network(normalise(rows.state))
        return values.gather(-1, rows.action.unsqueeze(-1)).squeeze(-1) - wanted
