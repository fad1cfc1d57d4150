"""What runs when something has happened."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from assets.quality_report import report_failed_run
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings, load_settings
from domain.voting import AgentId
from orchestration.jobs import online_updates, retraining, trials
from orchestration.tracking import close_runs


@dg.sensor(
    job=retraining[AgentId.MARKET_ANALYST],
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Retrains the Market Analyst when enough new experiences have come in.",
)
def retrain_on_experience(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[TimeSeriesStore],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Compare the number of experiences with that at the last request (the cursor)."""
    seen, needed = int(context.cursor or 0), settings.training.experiences_per_retraining
    found = store.read(Table.EXPERIENCES).height
    if found - seen < needed:
        yield dg.SkipReason(f"{max(0, found - seen)} new experiences; {needed} are needed.")
        return
    context.update_cursor(str(found))
    yield dg.RunRequest(run_key=f"experiences-{found}", tags={"trigger": "experiences"})


@dg.sensor(
    job=trials,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Judges the versions on trial anew when outcomes have come in.",
)
def climb_rungs(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[TimeSeriesStore],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Compare who stands where, and the number of experiences, with the last request's (cursor)."""
    lives = [DeployedModels.of(settings).life(agent) for agent in AgentId]
    standing = [
        f"{life.agent}@{number}:{life.of(number).status}"
        for life in lives
        if (number := life.on_trial) is not None
    ]
    if not standing:
        yield dg.SkipReason("No version is on trial.")
        return
    known = f"{' '.join(standing)} {store.read(Table.EXPERIENCES).height}"
    if known == context.cursor:
        yield dg.SkipReason("Nothing new is known of the versions on trial.")
        return
    context.update_cursor(known)
    yield dg.RunRequest(run_key=f"trials-{known}", tags={"trigger": "trial"})


@dg.sensor(
    job=online_updates,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Updates the champions' calibration when outcomes have come in, not too often.",
)
def update_online(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[TimeSeriesStore],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Compare the experiences, and the newest one's day, with the last request's (the cursor)."""
    policy, lived = settings.online, store.read(Table.EXPERIENCES)
    count, _, day = (context.cursor or "0").partition(" ")
    fresh = lived.height - int(count)
    if fresh < policy.outcomes_per_update:
        needed = policy.outcomes_per_update
        yield dg.SkipReason(f"{max(0, fresh)} new experiences; {needed} are needed.")
        return
    newest: date = lived["timestamp"].dt.date().max()  # type: ignore[assignment]
    if day and (passed := (newest - date.fromisoformat(day)).days) < policy.cooldown_days:
        yield dg.SkipReason(f"Day {passed} of the {policy.cooldown_days} days between updates.")
        return
    known = f"{lived.height} {newest}"
    context.update_cursor(known)
    yield dg.RunRequest(run_key=f"online-{known}", tags={"trigger": "experiences"})


def _close(context: dg.RunStatusSensorContext) -> dg.SkipReason:
    closed = close_runs(load_settings(), context.dagster_run.run_id)
    return dg.SkipReason(f"{len(closed)} MLflow runs were ended.")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends the MLflow runs that a failed run left open.",
)
def close_trials_of_failed_runs(context: dg.RunStatusSensorContext) -> dg.SkipReason:
    """End what is over: a trial that was cut off is a trial too."""
    return _close(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends the MLflow runs that a cancelled run left open.",
)
def close_trials_of_cancelled_runs(context: dg.RunStatusSensorContext) -> dg.SkipReason:
    """End what is over, as `close_trials_of_failed_runs`."""
    return _close(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes the data-quality report of a run that a check stopped.",
)
def report_quality_of_failed_runs(context: dg.RunStatusSensorContext) -> dg.SkipReason:
    """Write what the report's own asset could not."""
    settings = load_settings()
    store, run_id = open_time_series(settings), context.dagster_run.run_id
    path = report_failed_run(context.instance, run_id, store, settings)
    return dg.SkipReason(f"The report is {path}." if path else "The run checked no data.")


SENSORS = (
    report_quality_of_failed_runs,
    retrain_on_experience,
    climb_rungs,
    update_online,
    close_trials_of_failed_runs,
    close_trials_of_cancelled_runs,
)
