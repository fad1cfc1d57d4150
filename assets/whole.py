"""What the whole platform earns with a candidate in its agent's place. Imports torch."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from agents.market_view import MarketView
from agents.model import Model
from agents.model_files import load
from assets.records import ModelFolder
from consensus.service import rules_from
from domain.errors import ModelRefused
from domain.settings import Settings, TradingSettings
from domain.voting import AgentId
from evaluation.arrays import Floats
from evaluation.endurance import earnings_check
from evaluation.gate import Check
from evaluation.performance import simple_returns
from evaluation.platform_backtest import NamedModel, backtest_of, market_data

#: Days that the platform trades: enough to see harm, which is all that is asked of it here.
_DAYS = 42


@dataclass(frozen=True)
class Incumbent:
    """The model that votes for an agent now: its files, and what it is called."""

    folder: Path
    label: str


def incumbents_of(
    deployed: DeployedModels, classics: Mapping[AgentId, ModelFolder]
) -> dict[AgentId, Incumbent]:
    """Return who votes now; an agent without a champion votes by its classic policy."""
    found: dict[AgentId, Incumbent] = {}
    for agent in AgentId:
        champion = deployed.current(agent)
        if champion is not None:
            found[agent] = Incumbent(champion.folder, champion.version.label)
        elif agent in classics:
            found[agent] = Incumbent(Path(classics[agent].folder), f"{agent} classic")
        else:
            raise ModelRefused(
                f"{agent} has neither a champion nor a classic policy.",
                next_step="Materialize its classic_model first, or run `quorum train`.",
            )
    return found


def doubled(limits: TradingSettings) -> TradingSettings:
    """Return the settings with every trading cost twice as high."""
    costs = ("half_spread_bps", "impact_coefficient", "fee_per_share")
    return limits.model_copy(update={name: 2 * getattr(limits, name) for name in costs})


def earned_more(
    agent: AgentId,
    candidate: Model,
    incumbents: Mapping[AgentId, Incumbent],
    *,
    bars: pl.DataFrame,
    features: pl.DataFrame,
    end: datetime,
    settings: Settings,
) -> list[Check]:
    """Compare the platform's daily returns with the candidate and with the incumbent, in pairs.

    Both trade the last days before `end` with the same colleagues, at usual and doubled costs.
    """
    now = {a: NamedModel(load(i.folder, a), i.label) for a, i in incumbents.items()}
    then = {**now, agent: NamedModel(candidate, "candidate")}
    known, told = (frame.filter(pl.col("timestamp") < end) for frame in (bars, features))
    checks: list[Check] = []
    for name, when, limits in (
        ("earnings of the whole", "in its place", settings.trading),
        ("earnings at doubled costs", "at doubled costs", doubled(settings.trading)),
    ):
        old, new = (_returns(models, known, told, limits, settings) for models in (now, then))
        checks.append(earnings_check(name, new - old, when=when))
    return checks


def _returns(
    models: Mapping[AgentId, NamedModel],
    bars: pl.DataFrame,
    features: pl.DataFrame,
    limits: TradingSettings,
    settings: Settings,
) -> Floats:
    view = MarketView()
    view.warm_up(bars, features=features)
    days = bars["timestamp"].unique().sort()[-_DAYS - 1 :]
    traded = bars.filter(pl.col("timestamp") >= days[0])
    backtest = backtest_of(
        models,
        view,
        clock=EventClock(),
        metrics=PrometheusMetrics(),
        limits=limits,
        serving=settings.serving,
        rules=rules_from(settings),
    )
    result = asyncio.run(backtest.run(market_data(traded)))
    return simple_returns(np.asarray(result.equity_curve["equity"]))
