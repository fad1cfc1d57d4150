"""What learning is measured beside: an environment stepped one at a time, and Stable-Baselines3."""

import importlib.util
import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from agents.learning.environments.interface import Discrete, Environment


class OneAtATime:
    """A portfolio in the shape of FinRL's `StockTradingEnv`: one account, one day a step.

    Like it, the state is a list of cash, prices, shares and indicators; a day is looked up by its
    label in a long frame; whole shares are sold, then bought, in the order of the actions.
    """

    def __init__(self, frame: pd.DataFrame, indicators: list[str], fee: float) -> None:
        self.frame, self.indicators, self.fee = frame, indicators, fee
        self.last = int(frame.index.max())
        self.assets = len(frame.loc[0])
        self.reset()

    def reset(self) -> list[float]:
        self.day, self.cash, self.shares = 0, 1e6, [0] * self.assets
        self.wealths = [self.cash]
        return self._state()

    def _state(self) -> list[float]:
        self.today = self.frame.loc[self.day, :]
        self.prices = self.today["close"].to_numpy().tolist()
        told = [v for name in self.indicators for v in self.today[name].to_numpy().tolist()]
        return [self.cash, *self.prices, *self.shares, *told]

    def step(self, actions: np.ndarray) -> tuple[list[float], float, bool]:
        wanted = (actions * 100).astype(int)
        order = np.argsort(wanted)
        for i in order[wanted[order] < 0]:
            sold = min(-wanted[i], self.shares[i])
            self.cash += self.prices[i] * sold * (1 - self.fee)
            self.shares[i] -= sold
        for i in order[::-1][wanted[order[::-1]] > 0]:
            bought = min(self.cash // (self.prices[i] * (1 + self.fee)), wanted[i])
            self.cash -= self.prices[i] * bought * (1 + self.fee)
            self.shares[i] += bought
        self.day += 1
        state = self._state()
        wealth = self.cash + sum(np.array(self.prices) * np.array(self.shares))
        reward = wealth - self.wealths[-1]
        self.wealths.append(wealth)
        return state, reward, self.day == self.last


class OneArrayAtATime(OneAtATime):
    """The same with the frame made into arrays beforehand, as FinRL's faster variant has it."""

    def __init__(self, frame: pd.DataFrame, indicators: list[str], fee: float) -> None:
        days = int(frame.index.max()) + 1
        self.closes = frame["close"].to_numpy().reshape(days, -1)
        self.told = frame[indicators].to_numpy().reshape(days, -1)
        super().__init__(frame, indicators, fee)

    def _state(self) -> np.ndarray:
        self.prices = self.closes[self.day]
        return np.hstack((self.cash, self.prices, self.shares, self.told[self.day]))


def has_stable_baselines() -> bool:
    return importlib.util.find_spec("stable_baselines3") is not None


def vectorised(environment: Environment, seed: int):
    """Return a batched environment as a Stable-Baselines3 `VecEnv`."""
    from gymnasium import spaces  # noqa: PLC0415 - only where it is installed
    from stable_baselines3.common.vec_env import VecEnv  # noqa: PLC0415

    many = environment.episodes
    shape = (environment.observation_size,)
    observations = spaces.Box(-np.inf, np.inf, shape, np.float32)
    if isinstance(environment.actions, Discrete):
        actions = spaces.Discrete(environment.actions.choices)
    else:
        actions = spaces.Box(-10.0, 10.0, (environment.actions.size,), np.float32)
    no_infos = [{}] * many

    class Batched(VecEnv):
        def __init__(self) -> None:
            super().__init__(many, observations, actions)
            self.generator = torch.Generator().manual_seed(seed)
            self.done, self.going_on = np.ones(many, bool), np.zeros(many, bool)

        def reset(self):
            self.steps = 0
            return environment.reset(self.generator).numpy()

        def step_async(self, actions) -> None:
            self.chosen = torch.as_tensor(actions)

        def step_wait(self):
            observation, reward = environment.step(self.chosen)
            self.steps += 1
            seen, earned = observation.numpy(), reward.float().numpy()
            if self.steps < environment.length:
                return seen, earned, self.going_on, no_infos
            infos = no_infos
            if not environment.ends:
                infos = [{"terminal_observation": row, "TimeLimit.truncated": True} for row in seen]
            return self.reset(), earned, self.done, infos

        def close(self) -> None:
            pass

        def get_attr(self, attr_name, indices=None):  # noqa: ARG002
            return [None] * many

        def set_attr(self, attr_name, value, indices=None) -> None:
            pass

        def env_method(self, method_name, *arguments, indices=None, **named):  # noqa: ARG002
            return [None] * many

        def env_is_wrapped(self, wrapper_class, indices=None):  # noqa: ARG002
            return [False] * many

    return Batched()


def seconds_until(reached: Callable[[], bool], learn: Callable[[], None], most: float) -> float:
    """Return the CPU seconds of learning until a score is reached; infinite past `most`."""
    spent = 0.0
    while spent < most:
        began = time.process_time()
        learn()
        spent += time.process_time() - began
        if reached():
            return spent
    return math.inf
