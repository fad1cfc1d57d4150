import hashlib
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agents.learning.training import classic, train
from agents.model_files import save
from domain.errors import DataQualityError
from domain.voting import AgentId

_FOLDER = Path(__file__).parents[3]


def weights(model):
    return {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}


def same(one, other):
    ours, theirs = weights(one.model), weights(other.model)
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[name], theirs[name]) for name in ours
    )


_SCRIPT = """
import sys
from pathlib import Path
import polars as pl, torch
from agents.learning.training import train
from agents.model_files import save
from domain.settings import TradingSettings
from domain.voting import AgentId
torch.set_num_threads(int(sys.argv[3]))
bars = pl.read_parquet(sys.argv[1])
until = bars["timestamp"].max()
for agent in AgentId:
    trained = train(agent, bars, until=until, seed=11, settings=TradingSettings())
    save(Path(sys.argv[2]) / agent, trained)
"""


def test_two_processes_train_the_same_bytes(bars, tmp_path):
    bars.write_parquet(tmp_path / "bars.parquet")
    digests = []
    for hash_seed, threads in (("1", "1"), ("77", "2")):
        out = tmp_path / hash_seed
        environment = {
            **os.environ,
            "PYTHONPATH": str(_FOLDER),
            "PYTHONHASHSEED": hash_seed,
            "OMP_NUM_THREADS": threads,
            "POLARS_MAX_THREADS": threads,
        }
        subprocess.run(
            [sys.executable, "-c", _SCRIPT, tmp_path / "bars.parquet", out, threads],
            env=environment,
            check=True,
        )
        digests.append(
            {
                str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(out.rglob("*.*"))
            }
        )
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3 * len(AgentId)


@pytest.mark.parametrize("agent", AgentId)
def test_what_comes_after_the_cutoff_is_never_read(agent, bars, features, until, limits):
    spoiled = bars.with_columns(
        pl.when(pl.col("timestamp") >= until).then(9.9).otherwise(pl.col(c)).alias(c)
        for c in ("open", "high", "low", "close", "volume")
    )
    known = pl.col("timestamp") < until
    honest = train(agent, bars.filter(known), until=until, seed=1, settings=limits)
    tempted = train(agent, spoiled, features, until=until, seed=1, settings=limits)
    # Features of the whole frame equal those of the part to rounding, not to the last bit.
    for name, ours in weights(honest.model).items():
        np.testing.assert_allclose(ours, weights(tempted.model)[name], atol=1e-9, err_msg=name)
    ours, theirs = honest.model.specification, tempted.model.specification
    assert ours.score.x == pytest.approx(theirs.score.x, abs=1e-4)
    assert ours.trained_until == theirs.trained_until == until


@pytest.mark.parametrize("agent", AgentId)
def test_learning_starts_from_the_classic_policy_and_keeps_the_best(
    agent, bars, features, until, limits
):
    learned = train(agent, bars, features, until=until, seed=1, settings=limits)
    start, best = learned.loss_curve[0], min(e.tuning for e in learned.loss_curve)
    assert best <= start.tuning
    assert learned.model.specification.architecture == "residual"
    assert learned.model.specification.trained_until == until
    assert set(learned.rows) == {"training", "tuning", "validation", "experiences"}
    assert learned.rows["experiences"] == 0
    assert all(np.isfinite(value) for value in learned.metrics.values())


def test_another_seed_is_another_model(bars, features, until, limits, trained_risk):
    other = train(AgentId.RISK_MANAGER, bars, features, until=until, seed=4, settings=limits)
    again = train(AgentId.RISK_MANAGER, bars, features, until=until, seed=3, settings=limits)
    assert same(again, trained_risk)
    assert not same(other, trained_risk)


def test_a_classic_model_has_no_learned_part(classics):
    for trained in classics.values():
        assert trained.model.specification.architecture == "classic"
        assert trained.loss_curve == []
        assert set(weights(trained.model)) == {"policy_weight", "policy_bias"}


def test_a_planted_edge_is_found(market, limits):
    """Where a strong yesterday makes a strong week, the learned analyst must see it."""
    bars = market(symbols=("AAA", "BBB", "CCC", "DDD"), days=1200, seed=8, drift=0.0)
    planted = _momentum_world(bars)
    until = planted["timestamp"].max()
    learned = train(AgentId.MARKET_ANALYST, planted, until=until, seed=2, settings=limits)
    plain = classic(AgentId.MARKET_ANALYST, planted, until=until, seed=2, settings=limits)
    assert learned.metrics["information_coefficient"] > 0.15
    assert learned.metrics["brier"] < learned.metrics["brier_of_base_rate"] - 0.005
    assert learned.metrics["brier"] < plain.metrics["brier"]


def _momentum_world(bars):
    """Give each day's return a tenth of the last day's sign on each of the next five days."""
    frames = []
    for rows in bars.partition_by("symbol", maintain_order=True):
        shocks = np.diff(np.log(rows["close"].to_numpy()), prepend=np.log(rows["close"][0]))
        returns = shocks.copy()
        for day in range(6, len(shocks)):
            returns[day] += 0.5 * shocks[day - 5 : day].mean() + 0.15 * returns[day - 5 : day].sum()
        factor = np.exp(np.cumsum(returns - shocks))
        frames.append(
            rows.with_columns(pl.col(c) * factor for c in ("open", "high", "low", "close"))
        )
    return pl.concat(frames)


def test_too_short_a_history_is_a_typed_error(bars, limits):
    short = bars.filter(pl.col("timestamp") < bars["timestamp"].min() + timedelta(days=70))
    with pytest.raises(DataQualityError):
        train(AgentId.EXECUTION, short, until=bars["timestamp"].max(), seed=1, settings=limits)


def test_a_trained_model_can_be_saved(trained_risk, tmp_path):
    manifest = save(tmp_path, trained_risk)
    assert manifest.metrics["qlike"] == round(trained_risk.metrics["qlike"], 6)
    assert manifest.seed == 3
