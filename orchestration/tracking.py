"""MLflow tracking through dagster-mlflow, imported when a run needs it and closed when it ends."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from warnings import catch_warnings, simplefilter

import dagster as dg

from adapters.model_registry import mlflow_folder, mlflow_uri
from assets.trials import DAGSTER_RUN, EXPERIMENT, release
from domain.settings import Settings

#: What dagster-mlflow tags its own run with.
_PARENT_TAG = "dagster_run_id"


@dg.resource(
    required_resource_keys={"settings"},
    description="One MLflow run per Dagster run; trials are nested in it.",
)
def tracking(context: dg.InitResourceContext) -> Iterator[Any]:
    """Yield dagster-mlflow's object with an open run.

    The run ends with the resource, so it never stays RUNNING, whatever launched it; a run whose
    process is killed is ended by the sensor `close_abandoned_trials`.
    """
    settings: Settings = context.resources.settings
    run = context.run
    if run is None:
        raise dg.DagsterInvariantViolationError("Tracking belongs to a run.")
    _prepare(settings)
    given = SimpleNamespace(
        log=context.log,
        dagster_run=run,
        run_id=run.run_id,
        resource_config={
            "experiment_name": EXPERIMENT,
            "mlflow_tracking_uri": mlflow_uri(settings),
        },
    )
    with catch_warnings():
        simplefilter("ignore")  # dagster-mlflow calls itself beta
        from dagster_mlflow.resources import MlFlow  # noqa: PLC0415 - six seconds of CPU

        mlflow: Any = MlFlow(given)
    try:
        yield mlflow
    except BaseException as problem:
        release(problem)
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run()


def close_runs(settings: Settings, dagster_run_id: str) -> list[str]:
    """End the MLflow runs that a dead Dagster run left RUNNING; returns their ids."""
    client = _prepare(settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    closed = []
    for tag in (_PARENT_TAG, DAGSTER_RUN):
        wanted = f"attributes.status = 'RUNNING' and tags.`{tag}` = '{dagster_run_id}'"
        for run in client.search_runs([experiment.experiment_id], wanted):
            client.set_terminated(run.info.run_id, "KILLED")
            closed.append(run.info.run_id)
    return closed


def _prepare(settings: Settings) -> Any:  # noqa: ANN401 - MLflow's client, imported late
    """Return a client, the experiment made with its files below the state folder."""
    mlflow_folder(settings).mkdir(parents=True, exist_ok=True)
    from adapters.model_registry.mlflow import experiment_id, mlflow_client  # noqa: PLC0415

    client = mlflow_client(mlflow_uri(settings))
    experiment_id(client, EXPERIMENT, mlflow_uri(settings), mlflow_folder(settings) / "artifacts")
    return client
