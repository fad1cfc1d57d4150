"""What is run together."""

import dagster as dg

from domain.settings import Settings
from domain.voting import AgentId

_MARKET = dg.AssetSelection.groups("ingestion", "features", "data_quality")
_SENTIMENT = dg.AssetSelection.groups("sentiment")
_MODELS = dg.AssetSelection.assets(
    *(
        [agent.value, stage]
        for agent in AgentId
        for stage in (
            "classic_model",
            "trained_model",
            "validation",
            "registration",
            "promotion",
        )
    ),
    "monitoring",
)

market_data = dg.define_asset_job(
    "market_data", _MARKET, description="Bars, news and features of a month, or of a range."
)
models = dg.define_asset_job(
    "models", _MODELS, description="Train, validate, register and promote all four agents."
)
sentiment = dg.define_asset_job(
    "sentiment", _SENTIMENT, description="Train the model of headlines; gate it; take it up."
)
batch = dg.define_asset_job(
    "batch",
    _MARKET | _SENTIMENT | _MODELS,
    description="The whole batch plane: from the files to champions.",
)
collect_experiences = dg.define_asset_job(
    "collect_experiences",
    dg.AssetSelection.groups("experience", "monitoring", "portfolio"),
    description="From the ledger to the replay buffer and the portfolio's history, and whether "
    "the champions still hold.",
)

fill_second_store = dg.define_asset_job(
    "fill_second_store",
    dg.AssetSelection.groups("store_sync"),
    description="From one time-series store to the other.",
)
health = dg.define_asset_job(
    "health",
    dg.AssetSelection.assets("asset_health"),
    description="How every asset is: page and metric.",
)


@dg.op(description="Signs where every log stands, and keeps that outside the database.")
def sign_heads(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Sign a tree head."""
    from orchestration.tree_heads import sign_head  # noqa: PLC0415 - the drivers, when used

    context.log.info("The newest signed head is number %d.", sign_head(settings).statement.number)


@dg.job(description="Sign the record's Merkle trees.")
def sign_tree_heads() -> None:
    """Sign where every log stands."""
    sign_heads()


def retraining_stages(agent: AgentId) -> dg.AssetSelection:
    """Return what retraining one agent takes: experiences, model, challenger, test, rollout."""
    stages = ("retrained_model", "challenger", "ab_test", "rollout")
    return dg.AssetSelection.groups("experience") | dg.AssetSelection.assets(
        *([agent.value, stage] for stage in stages)
    )


retraining = {
    agent: dg.define_asset_job(
        f"retrain_{agent}",
        retraining_stages(agent),
        description=f"Retrain the {agent} on experiences, test it, promote or refuse it.",
    )
    for agent in AgentId
}
trials = dg.define_asset_job(
    "trials",
    dg.AssetSelection.assets(*([agent.value, "trial"] for agent in AgentId)),
    description="Each version on trial climbs a rung, is refused, or waits for a person.",
)
online_updates = dg.define_asset_job(
    "online_updates",
    dg.AssetSelection.groups("experience", "online_learning"),
    description="Each champion's calibration follows what came, one bounded step.",
)
walk_forward = dg.define_asset_job(
    "walk_forward",
    dg.AssetSelection.groups("walk_forward"),
    description="The four models as of a day; a backfill over days is a walk-forward.",
)
search = {
    agent: dg.define_asset_job(
        f"search_{agent}",
        dg.AssetSelection.assets([agent.value, "search"]),
        description=f"Search how the {agent}'s network is best fitted.",
    )
    for agent in AgentId
}
JOBS = (
    market_data,
    models,
    sentiment,
    batch,
    collect_experiences,
    sign_tree_heads,
    trials,
    online_updates,
    walk_forward,
    *retraining.values(),
    *search.values(),
    fill_second_store,
    health,
)
