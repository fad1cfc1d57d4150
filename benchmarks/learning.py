"""How fast environments step and learners learn, beside FinRL's shape and Stable-Baselines3.

Stable-Baselines3 is no dependency: its rows are left out, with a word on stderr, where it is
not installed. CPU seconds, one torch thread.
"""

import math
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from agents.learning.actor_critic import ActorCritic
from agents.learning.environments.liquidation import LiquidationEnvironment, LiquidationWorld
from agents.learning.environments.portfolio import PortfolioEnvironment, weights_of
from agents.learning.environments.positions import PositionEnvironment
from agents.learning.proximal_policy import ProximalPolicy, ProximalPolicySettings
from agents.learning.schedules import Linear
from benchmarks.learning_peers import (
    OneArrayAtATime,
    OneAtATime,
    has_stable_baselines,
    seconds_until,
    vectorised,
)
from benchmarks.measure import Row, alternately, median, run
from benchmarks.planted_worlds import learned, sold_by
from evaluation import signal_worlds as worlds
from evaluation.liquidation import best_holdings, utility
from evaluation.optimum import earned, optimum

_ROUNDS = 5
_INDICATORS = [f"indicator_{n}" for n in range(8)]
_FEE, _DAYS = 0.001, 1_000
_TOGETHER = 1_024
_SEEDS = range(5)
_TRAINING = 50_000
_MOST_SECONDS = 25.0
_UPDATES, _EPISODES = 40, 1_024


def measure() -> list[Row]:
    torch.set_num_threads(1)
    rows = [*_steps(30), *_steps(5)]
    if not has_stable_baselines():
        print("Stable-Baselines3 is not installed: its rows are left out.", file=sys.stderr)
        return rows
    return [*rows, *_planted_edge(), *_execution()]


def _steps(assets: int) -> list[Row]:
    """Return steps a CPU second of ours and of an account stepped alone, random weights given."""
    rng = np.random.default_rng(0)
    closes = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (_DAYS, assets)), axis=0))
    told = rng.normal(size=(_DAYS, assets * len(_INDICATORS)))
    frame = pd.DataFrame({"close": closes.ravel()}, index=np.repeat(np.arange(_DAYS), assets))
    for n, name in enumerate(_INDICATORS):
        frame[name] = told[:, n * assets : (n + 1) * assets].ravel()
    actions = rng.uniform(-1.0, 1.0, (_DAYS, assets))
    ours = PortfolioEnvironment(
        torch.tensor(closes), torch.tensor(told), fee=_FEE, episodes=_TOGETHER, length=100
    )
    chosen = weights_of(torch.tensor(rng.normal(size=(100, _TOGETHER, assets))))

    def batched(step: Callable[[torch.Tensor], object]) -> float:
        ours.reset(torch.Generator().manual_seed(0))
        began = time.process_time()
        for each in chosen:
            step(each)
        return chosen.shape[0] * chosen.shape[1] / (time.process_time() - began)

    def alone(kind: type[OneAtATime]) -> float:
        world = kind(frame, _INDICATORS, _FEE)
        began = time.process_time()
        for each in actions[:-1]:
            world.step(each)
        return (_DAYS - 1) / (time.process_time() - began)

    found = alternately(
        {
            "accounts": lambda: batched(ours.trade),
            "observed": lambda: batched(ours.rebalance),
            "frame": lambda: alone(OneAtATime),
            "arrays": lambda: alone(OneArrayAtATime),
        },
        _ROUNDS,
    )
    return [
        Row(figure=f"portfolio of {assets} assets, {what}", unit="steps/CPU s",
            ours=median(found[mine]), beside=beside, theirs=median(found[theirs]))
        for mine, what in (("accounts", "trading, fees, rewards"), ("observed", "observations too"))
        for theirs, beside in (
            ("frame", "FinRL-shaped, one at a time"),
            ("arrays", "the same on arrays"),
        )
    ]  # fmt: skip


def _planted_edge() -> list[Row]:
    """Return CPU seconds until .98 of the optimum is earned; PPO was SB3's fastest of 11 tried."""
    best, ahead = optimum(worlds.MODEL), worlds.known_edge(999, 40_000)
    most = earned(best.policy, ahead, 400).expected.mean()
    ours, theirs, shares = [], [], []
    for seed in _SEEDS:
        world = worlds.known_edge(seed, _TRAINING)
        began = time.process_time()
        policy = learned(world, seed)
        ours.append(time.process_time() - began)
        shares.append(float(earned(policy, ahead, 400).expected.mean() / most))
        theirs.append(_seconds_of_stable_baselines(world, seed, ahead, 0.98 * float(most)))
    reached = sum(math.isfinite(seconds) for seconds in theirs)
    return [
        Row(figure="planted edge: share of the optimum, lowest of 5 seeds", unit="",
            ours=min(shares), beside="at least", theirs=0.98),
        Row(figure="planted edge: learned", unit="CPU s", ours=median(ours),
            beside=f"SB3 PPO until .98 ({reached} of 5 seeds within {_MOST_SECONDS:.0f} s)",
            theirs=min(median(theirs), _MOST_SECONDS)),
    ]  # fmt: skip


def _seconds_of_stable_baselines(
    world: worlds.Signals, seed: int, ahead: worlds.Signals, wanted: float
) -> float:
    from stable_baselines3 import PPO  # noqa: PLC0415 - only where it is installed

    unit = world.returns.std()
    environment = PositionEnvironment(
        torch.tensor(world.features), torch.tensor(world.returns / unit),
        cost=world.cost / unit, episodes=256, length=64,
    )  # fmt: skip
    model = PPO(
        "MlpPolicy", vectorised(environment, seed), n_steps=16, batch_size=1_024, n_epochs=4,
        learning_rate=3e-3, gamma=0.9, seed=seed, device="cpu", policy_kwargs={"net_arch": [32]},
    )  # fmt: skip

    def policy(features: np.ndarray, held: np.ndarray) -> np.ndarray:
        seen = np.column_stack([features, held]).astype(np.float32)
        return model.predict(seen, deterministic=True)[0]

    def learn() -> None:
        model.learn(256 * 16, reset_num_timesteps=False)

    def reached() -> bool:
        return float(earned(policy, ahead, 400).expected.mean()) >= wanted

    return seconds_until(reached, learn, _MOST_SECONDS)


def _execution() -> list[Row]:
    """Return steps a CPU second of learning to sell, and the score after as many of them."""
    world = LiquidationWorld()
    scores: dict[str, list[float]] = {"ours": [], "theirs": []}
    seeds = {"ours": iter(range(9)), "theirs": iter(range(9))}

    def ours() -> float:
        seed = next(seeds["ours"])
        environment = LiquidationEnvironment(world, episodes=_EPISODES)
        policy = ActorCritic(environment.observation_size, environment.actions, seed)
        settings = ProximalPolicySettings(
            seed, updates=_UPDATES, discount=1.0, learning_rate=Linear(3e-3, 1e-4)
        )
        learner = ProximalPolicy(environment, policy, settings)
        began = time.process_time()
        learner.learn()
        spent = time.process_time() - began
        scores["ours"].append(utility(world, sold_by(policy, world)))
        return _UPDATES * _EPISODES * world.periods / spent

    def theirs() -> float:
        seed = next(seeds["theirs"])
        spent, score = _stable_baselines_sells(world, seed)
        scores["theirs"].append(score)
        return _UPDATES * _EPISODES * world.periods / spent

    found = alternately({"ours": ours, "theirs": theirs}, 3)
    best = utility(world, best_holdings(world))
    return [
        Row(figure="execution: PPO, learning included", unit="steps/CPU s",
            ours=median(found["ours"]), beside="SB3 PPO, same environment and sizes",
            theirs=median(found["theirs"])),
        Row(figure="execution: E + λV over the closed form", unit="",
            ours=median(scores["ours"]) / best, beside="SB3 PPO after as many steps",
            theirs=median(scores["theirs"]) / best),
    ]  # fmt: skip


def _stable_baselines_sells(world: LiquidationWorld, seed: int) -> tuple[float, float]:
    """Return CPU seconds of learning and the utility reached, with the settings of ours."""
    from stable_baselines3 import PPO  # noqa: PLC0415 - only where it is installed
    from stable_baselines3.common.vec_env import VecNormalize  # noqa: PLC0415

    environment = LiquidationEnvironment(world, episodes=_EPISODES)
    normalised = VecNormalize(vectorised(environment, seed), gamma=1.0)
    steps = _EPISODES * world.periods
    model = PPO(
        "MlpPolicy", normalised, n_steps=world.periods, batch_size=steps // 4, n_epochs=4,
        learning_rate=lambda left: 1e-4 + (3e-3 - 1e-4) * left, gamma=1.0, gae_lambda=0.95,
        seed=seed, device="cpu",
        policy_kwargs={"net_arch": [64, 64], "log_std_init": math.log(0.5)},
    )  # fmt: skip
    began = time.process_time()
    model.learn(_UPDATES * steps)
    spent = time.process_time() - began

    class Best:
        @staticmethod
        def best(observation: torch.Tensor) -> torch.Tensor:
            seen = normalised.normalize_obs(observation.numpy())
            return torch.as_tensor(model.predict(seen, deterministic=True)[0])

    return spent, utility(world, sold_by(Best, world))


if __name__ == "__main__":
    run(measure)
