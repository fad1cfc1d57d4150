"""Walk-forward: the model that would have been trained on any past day, one partition a day.

A backfill over days is a walk-forward. A partition learns from what was known before its day, so
that making it again gives the same files, whatever came in later.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from assets.features import features
from assets.ingestion import bars, news
from assets.training import CODE_VERSION, learn
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId

#: A model of a day has seen the days before it.
AS_OF = dg.DailyPartitionsDefinition(start_date="1990-01-01", end_offset=1)
#: Days after the as-of date on which the model is measured.
_AHEAD = timedelta(days=91)


def _as_of_model(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "as_of_model"],
        group_name="walk_forward",
        owners=["team:research"],
        kinds={"torch", "mlflow"},
        tags={"stage": "training", "agent": agent.value},
        io_manager_key="files",
        partitions_def=AS_OF,
        deps=[
            dg.AssetDep(source, partition_mapping=dg.AllPartitionMapping())
            for source in (bars, features)
        ]
        + [news],
        code_version=CODE_VERSION,
        description="The model as it would have been trained on a past day, measured on the "
        "quarter that followed.",
    )
    def as_of_model(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        from agents.model_files import load  # noqa: PLC0415 - imports torch
        from agents.validation import validation_metrics  # noqa: PLC0415
        from evaluation.own_task import losses  # noqa: PLC0415

        until = context.partition_time_window.start
        made = learn(agent, "as_of", store=store, settings=settings, mlflow=mlflow, until=until)
        known = [store.read(t, end=until + _AHEAD) for t in (Table.BARS, Table.FEATURES)]
        if known[0].filter(known[0]["timestamp"] >= until).height:
            after = validation_metrics(
                load(Path(made.value.folder), agent),
                *known,
                start=until,
                end=until + _AHEAD,
                settings=settings.trading,
            )
            measured = losses(agent, after)
            after_it = {
                "loss_in_the_quarter_after": float(measured.mean()),
                "instants_in_the_quarter_after": len(measured),
            }
            return made._replace(metadata={**(made.metadata or {}), **after_it})
        return made

    return as_of_model


as_of_models = [_as_of_model(agent) for agent in AgentId]
