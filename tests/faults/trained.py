"""The four agents' own processes, each with a model that was trained here."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from adapters.time_series import open_time_series
from agents.learning.training import train
from agents.model_files import save
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import AgentId
from tests.faults.load import PRICE, SYMBOLS

_DAYS = 1200


def install(settings: Settings, *, seed: int) -> None:
    """Write a history that ends yesterday at the load's price, and a trained champion of each."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    bars = history(end - timedelta(days=_DAYS), seed)
    open_time_series(settings).write(Table.BARS, bars)
    deployed = DeployedModels.of(settings)
    for agent in AgentId:
        model = train(agent, bars, until=end, seed=seed, settings=settings.trading)
        folder = settings.home / "models" / agent / "1"
        save(folder, model)
        version = ModelVersion(
            model_id=f"quorum-{agent}",
            version=1,
            agent_type=agent,
            performance_metrics={},
            deployment_status=DeploymentStatus.LIVE,
            created_at=end,
            model_artifacts=verified(folder, agent),
        )
        deployed.point(Alias.CHAMPION, ModelKeys.of(settings).sign(version))


def history(start: datetime, seed: int) -> pl.DataFrame:
    """Return a seeded random walk of each symbol, a bar a day."""
    draws = np.random.default_rng(seed)
    frames = []
    for symbol in SYMBOLS:
        path = np.cumsum(draws.normal(0.0003, 0.015, _DAYS))
        close = np.round(float(PRICE) * np.exp(path - path[-1]), 4)
        opened = np.round(close * np.exp(draws.normal(0, 0.004, _DAYS)), 4)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * _DAYS,
                    "timestamp": [start + timedelta(days=day) for day in range(_DAYS)],
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.003,
                    "low": np.minimum(opened, close) * 0.997,
                    "close": close,
                    "volume": np.round(draws.lognormal(14, 0.4, _DAYS)),
                    "raw_close": close,
                    "source": ["test"] * _DAYS,
                },
                schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
            )
        )
    return pl.concat(frames)
