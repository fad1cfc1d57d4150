"""Proximal policy optimisation (Schulman et al., 2017) on batched environments.

For agents whose actions move what they are paid in. Whole episodes are played, advantages are
estimated by GAE (Schulman et al., 2016) and the clipped objective is climbed in minibatches. The
clip, step size and entropy weight follow schedules; rewards are scaled by the running deviation
of the discounted return, observations standardised by their running statistics; both are saved.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from agents.learning.actor_critic import ActorCritic, Choice
from agents.learning.checkpoints import Checkpoint, restore, snapshot
from agents.learning.environments.interface import Environment
from agents.learning.loop import one_thread
from agents.learning.normalisation import RunningNormalisation
from agents.learning.schedules import Linear, constant


@dataclass(frozen=True)
class ProximalPolicySettings:
    """How a policy is learned.

    Parameters
    ----------
    updates
        Rounds of playing the environment's batch of episodes and learning from it.
    epochs, minibatches
        Passes over a round's steps, and parts that each pass is cut into.
    discount, trace
        γ, and λ of GAE.
    clip
        How far the probability ratio may be pushed.
    """

    seed: int
    updates: int = 100
    epochs: int = 4
    minibatches: int = 4
    discount: float = 0.99
    trace: float = 0.95
    learning_rate: Linear = field(default_factory=lambda: Linear(1e-3, 1e-4))
    clip: Linear = field(default_factory=lambda: constant(0.2))
    entropy_weight: Linear = field(default_factory=lambda: constant(0.0))
    value_weight: float = 0.5
    gradient_norm: float = 0.5


class Round(NamedTuple):
    """What one round of playing and learning showed.

    Parameters
    ----------
    episode_return
        Mean sum of rewards of an episode, not scaled.
    clipped
        Share of steps whose probability ratio was outside the clip.
    divergence
        Estimated KL divergence of the new policy from the one that played.
    """

    episode_return: float
    policy_loss: float
    value_loss: float
    entropy: float
    clipped: float
    divergence: float


class _Rollout(NamedTuple):
    """All steps of all episodes; `values` and `rewards` are steps × episodes.

    `values` has one row more: that of the last observation.
    """

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    values: Tensor
    rewards: Tensor


class ProximalPolicy:
    """Learns a policy for an environment, a round at a time."""

    def __init__(
        self, environment: Environment, policy: ActorCritic, settings: ProximalPolicySettings
    ) -> None:
        self.environment, self.policy, self.settings = environment, policy, settings
        self.rounds = 0
        self._returns = RunningNormalisation(1)
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._optimizer = torch.optim.Adam(policy.parameters(), eps=1e-5)

    def learn(self) -> list[Round]:
        """Do all rounds that are left and return what they showed."""
        return [self.update() for _ in range(self.rounds, self.settings.updates)]

    def update(self) -> Round:
        """Play one batch of episodes and learn from it."""
        with one_thread():
            rollout = self._play()
            found = self._improve(rollout)
        self.rounds += 1
        return found

    def checkpoint(self) -> Checkpoint:
        """Return all that the next round depends on."""
        own = self._returns.state_dict()
        return snapshot(self.policy, self._optimizer, self._generator, own, rounds=self.rounds)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, bit for bit as if learning had not stopped."""
        own = restore(checkpoint, self.policy, self._optimizer, self._generator)
        self._returns.load_state_dict(own)
        self.rounds = checkpoint.numbers["rounds"]

    def _play(self) -> _Rollout:
        world, policy = self.environment, self.policy
        seen = [world.reset(self._generator)]
        read: list[Tensor] = []
        choices: list[Choice] = []
        rewards: list[Tensor] = []
        with torch.no_grad():
            for _ in range(world.length):
                read.append(policy.normalise(seen[-1]))
                choices.append(policy.draw(read[-1], self._generator))
                observation, reward = world.step(choices[-1].actions)
                seen.append(observation)
                rewards.append(reward.float())
            read.append(policy.normalise(seen[-1]))
            values = policy.value(torch.stack(read))
            if world.ends:
                values[-1] = 0.0
            policy.normalise.observe(torch.cat(seen[:-1]))
        return _Rollout(
            torch.cat(read[:-1]),
            torch.cat([choice.actions for choice in choices]),
            torch.cat([choice.log_probability for choice in choices]),
            values,
            torch.stack(rewards),
        )

    def _improve(self, rollout: _Rollout) -> Round:
        settings, progress = self.settings, self.rounds / self.settings.updates
        clip, entropy_weight = settings.clip.at(progress), settings.entropy_weight.at(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate.at(progress)
        scaled = rollout.rewards * self._reward_scale(rollout.rewards)
        advantages, targets = estimated(
            scaled, rollout.values, discount=settings.discount, trace=settings.trace
        )
        advantages, targets = advantages.flatten(), targets.flatten()
        told: list[Tensor] = []
        steps = len(advantages)
        for _ in range(settings.epochs):
            order = torch.randperm(steps, generator=self._generator)
            for rows in torch.tensor_split(order, settings.minibatches):
                log_probability, entropy = self.policy.log_probability(
                    rollout.observations[rows], rollout.actions[rows]
                )
                log_ratio = log_probability - rollout.log_probabilities[rows]
                ratio = log_ratio.exp()
                gain = standardised(advantages[rows])
                bounded = ratio.clamp(1.0 - clip, 1.0 + clip)
                policy_loss = -torch.min(ratio * gain, bounded * gain).mean()
                value = self.policy.value(rollout.observations[rows])
                value_loss = (value - targets[rows]).square().mean()
                loss = policy_loss + settings.value_weight * value_loss - entropy_weight * entropy
                self._optimizer.zero_grad(set_to_none=True)
                loss.backward()  # pyright: ignore[reportUnknownMemberType]
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), settings.gradient_norm)
                self._optimizer.step()  # pyright: ignore[reportUnknownMemberType]
                with torch.no_grad():
                    clipped = (ratio != bounded).float().mean()
                    divergence = (ratio - 1.0 - log_ratio).mean()
                    told.append(
                        torch.stack([policy_loss, value_loss, entropy, clipped, divergence])
                    )
        means = torch.stack(told).mean(0)
        return Round(float(rollout.rewards.sum(0).mean()), *map(float, means))

    def _reward_scale(self, rewards: Tensor) -> float:
        """Return 1 / deviation of the discounted return to date, over all rounds."""
        running, returns = torch.zeros(rewards.shape[1]), torch.empty_like(rewards)
        for step, reward in enumerate(rewards):
            running = running * self.settings.discount + reward
            returns[step] = running
        self._returns.observe(returns.view(-1, 1))
        return float(torch.rsqrt(self._returns.variance + 1e-16))


def standardised(advantages: Tensor) -> Tensor:
    """Return advantages with mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(advantages)
    return (advantages - mean) / (deviation + 1e-8)


def estimated(
    rewards: Tensor, values: Tensor, *, discount: float, trace: float
) -> tuple[Tensor, Tensor]:
    """Return advantages by GAE and the value's targets, both steps × episodes.

    `values` has one row more than `rewards`: that of the last observation, 0 where nothing can be
    earned after it. A_t = Σ_k (γλ)^k δ_{t+k} with δ_t = r_t + γ V_{t+1} - V_t.
    """
    errors = rewards + discount * values[1:] - values[:-1]
    advantages = torch.empty_like(errors)
    running = torch.zeros_like(errors[0])
    for step in range(len(errors) - 1, -1, -1):
        running = errors[step] + discount * trace * running
        advantages[step] = running
    return advantages, advantages + values[:-1]
