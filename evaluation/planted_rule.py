"""What the rule makes of a planted world: four trained agents, live engine and order path."""

import asyncio

import polars as pl

from agents.indicators import compute_frame
from agents.learning.training import train
from agents.market_view import MarketView
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.rules import Rules
from domain.settings import ServingSettings, TradingSettings
from domain.voting import AgentId
from evaluation.platform_backtest import NamedModel, backtest_of, market_data


def decided_on(
    bars: pl.DataFrame,
    *,
    live_days: int,
    seed: int,
    clock: Clock,
    metrics: Metrics,
    limits: TradingSettings,
    serving: ServingSettings,
    rules: Rules,
) -> pl.DataFrame:
    """Train all four agents on the bars before the last `live_days` days, then trade these.

    Returns
    -------
    pl.DataFrame
        One row per proposal: ``decision_id, decided_at, outcome`` (the rule's own, whatever became
        of a review) and ``reward`` (null where that isn't known at the end).
    """
    days = bars["timestamp"].unique().sort()
    until = days[len(days) - live_days]
    features = compute_frame(bars, None)
    known, told = (frame.filter(pl.col("timestamp") < until) for frame in (bars, features))
    models = {
        agent: NamedModel(
            train(agent, known, told, until=until, seed=seed, settings=limits).model, f"{agent}@1"
        )
        for agent in AgentId
    }
    view = MarketView()
    view.warm_up(bars, features=features)
    backtest = backtest_of(
        models, view, clock=clock, metrics=metrics, limits=limits, serving=serving, rules=rules
    )
    live = bars.filter(pl.col("timestamp") >= until)
    result = asyncio.run(backtest.run(market_data(live)))
    rewards = {e.decision_id: float(e.reward) for e in result.experiences}
    # A review that ran out is decided once more; what the rule itself said came first.
    first = {decision.proposal.proposal_id: decision for decision in reversed(result.decisions)}
    return pl.DataFrame(
        [
            {
                "decision_id": decision.decision_id,
                "decided_at": decision.occurred_at,
                "outcome": str(decision.outcome),
                "reward": rewards.get(decision.decision_id),
            }
            for decision in first.values()
        ],
        schema={
            "decision_id": pl.String,
            "decided_at": pl.Datetime("us", "UTC"),
            "outcome": pl.String,
            "reward": pl.Float64,
        },
    ).sort("decided_at", "decision_id")
