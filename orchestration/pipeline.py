"""The batch plane in this process: the whole graph, or one agent's retraining.

Runs are recorded on a Dagster instance below the state folder, so its web page shows them later.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

import dagster as dg
import polars as pl
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError
from dagster._core.instance.ref import InstanceRef

from adapters.files import write_atomically
from adapters.market_data.folder import FolderMarketData
from adapters.time_series import open_time_series
from assets.partitions import FIRST_MONTH, MONTHS
from assets.quality_report import report_failed_run
from assets.records import Comparison, Promotion, Registration
from assets.sample import sample_folder
from domain.errors import DataQualityError, QuorumError
from domain.settings import Settings
from domain.voting import AgentId
from orchestration.definitions import definitions
from orchestration.run_history import unsynchronised

_INSTANCE = b"""telemetry:
  enabled: false
nux:
  enabled: false
"""
#: Steps print nothing here, and catching what they print takes two programs more for each,
#: which the terminal's Ctrl-C would reach too.
_IN_PROCESS = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Step(NamedTuple):
    """A finished step: the asset (or asset and check), its stage, and its seconds."""

    name: str
    stage: str
    seconds: float


#: Called after every step.
Progress = Callable[[Step], None]


class CheckFound(NamedTuple):
    """An asset check's outcome."""

    asset: str
    name: str
    passed: bool
    severity: str
    description: str


class PipelineResult(NamedTuple):
    """What a run did.

    Parameters
    ----------
    run_id
        The Dagster run.
    seconds
        Wall time by stage; ``start`` is imports and opening of resources, ``total`` the whole.
    """

    run_id: str
    seconds: Mapping[str, float]
    checks: Sequence[CheckFound]
    registrations: Mapping[AgentId, Registration]
    promotions: Mapping[AgentId, Promotion]


class RetrainingResult(NamedTuple):
    """What a retraining came to."""

    run_id: str
    seconds: Mapping[str, float]
    challenger: Registration
    comparison: Comparison
    promotion: Promotion


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance below the state folder, made if it is not there."""
    folder = settings.home / "dagster"
    if not (folder / "dagster.yaml").exists():
        write_atomically(folder / "dagster.yaml", _INSTANCE)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=_IN_PROCESS))


def run_pipeline(settings: Settings, progress: Progress | None = None) -> PipelineResult:
    """Materialize everything from the source's files to the four champions.

    Raises
    ------
    DataQualityError
        If a blocking check failed; nothing was trained on that data.
    QuorumError
        Whatever else an asset refuses.
    """
    first, last = months_of(FolderMarketData(settings.data_folder or sample_folder()).read())
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    result, seconds = _run(settings, "batch", progress, tags=tags)
    return PipelineResult(
        run_id=result.run_id,
        seconds=seconds,
        checks=_checks(result),
        registrations={agent: _value(result, agent, "registration") for agent in AgentId},
        promotions={agent: _value(result, agent, "promotion") for agent in AgentId},
    )


def run_retraining(
    settings: Settings,
    agent: AgentId,
    *,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> RetrainingResult:
    """Retrain one agent on its experiences, test it against the champion, promote or refuse it.

    Parameters
    ----------
    until
        End of what is learned from; later proposals are for the test. The first quarter
        of the experiences by default.

    Raises
    ------
    QuorumError
        As `run_pipeline`; and if there are no experiences or no champion yet.
    """
    config = {"until": until.isoformat() if until else ""}
    ops = {f"{agent}__retrained_model": {"config": config}}
    result, seconds = _run(settings, f"retrain_{agent}", progress, config={"ops": ops})
    return RetrainingResult(
        run_id=result.run_id,
        seconds=seconds,
        challenger=_value(result, agent, "challenger"),
        comparison=_value(result, agent, "ab_test"),
        promotion=_value(result, agent, "rollout"),
    )


def run_trials(settings: Settings) -> Mapping[AgentId, Promotion]:
    """Judge every version on trial by the record: it climbs, is refused, or stays.

    Raises
    ------
    QuorumError
        Whatever an asset refuses.
    """
    result, _ = _run(settings, "trials", None)
    return {agent: _value(result, agent, "trial") for agent in AgentId}


def _value(result: dg.ExecuteInProcessResult, agent: AgentId, stage: str) -> Any:  # noqa: ANN401 - the stage's record
    return result.asset_value(dg.AssetKey([agent.value, stage]))


def months_of(raw: pl.DataFrame) -> tuple[str, str]:
    """Return the first and last month (partition keys) that rows as read fall into."""
    days = raw.select(pl.coalesce("date", pl.col("timestamp").dt.date())).to_series().drop_nulls()
    keys = [day.strftime("%Y-%m-01") for day in (days.min(), days.max()) if day is not None]  # type: ignore[union-attr]
    last = MONTHS.get_last_partition_key() or FIRST_MONTH
    first_key, last_key = (min(max(key, FIRST_MONTH), last) for key in keys or [last, last])
    return first_key, last_key


def _run(
    settings: Settings,
    job_name: str,
    progress: Progress | None,
    *,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> tuple[dg.ExecuteInProcessResult, dict[str, float]]:
    jobs = definitions(settings)
    stages = _stages(jobs)
    begun = latest = perf_counter()

    @dg.success_hook
    def report(context: dg.HookContext) -> None:
        nonlocal latest
        now = perf_counter()
        if progress is not None:
            stage = stages.get(context.step_key, "other")
            progress(Step(context.step_key, stage, now - latest))
        latest = now

    job = jobs.resolve_job_def(job_name).with_hooks({report})
    run_id = str(uuid4())
    with (
        unsynchronised(settings.home / "dagster"),
        dagster_instance(settings) as instance,
        _typed_errors(settings, instance, run_id),
    ):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            tags=dict(tags or {}),
            run_config={**_QUIET, **(config or {})},
        )
    return result, _seconds(result, stages, perf_counter() - begun)


@contextmanager
def _typed_errors(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Raise what an asset raised, not what Dagster wrapped it in."""
    try:
        yield
    except QuorumError:
        raise
    except DagsterExecutionInterruptedError:  # Ctrl-C, which is none of Dagster's errors
        raise KeyboardInterrupt from None
    except dg.DagsterError as problem:
        cause: BaseException | None = problem
        while cause is not None and not isinstance(cause, QuorumError):
            cause = getattr(cause, "user_exception", None) or cause.__cause__
        if cause is not None:
            raise cause from None
        if isinstance(problem, DagsterAssetCheckFailedError):
            raise _blocked(settings, instance, run_id) from None
        raise


def _blocked(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> DataQualityError:
    """Return the error that names the blocking checks that failed, and what each found."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    checks = [e.dagster_event.asset_check_evaluation_data for e in entries if e.dagster_event]
    failed = [
        f"{check.check_name} of {check.asset_key.to_user_string()}: {check.description}"
        for check in checks
        if check.blocking and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    report = report_failed_run(instance, run_id, open_time_series(settings), settings)
    return DataQualityError(
        f"The data failed its checks: {' '.join(failed)}",
        kept="Nothing was trained on it; champions are as they were, refused rows in quarantine.",
        next_step="Mend at their source the rows that `quorum quarantine` lists, then run again; "
        f"the whole report is {report}.",
    )


def _stages(known: dg.Definitions) -> dict[str, str]:
    """Return step → stage; checks of data are a stage of their own."""
    graph = known.resolve_asset_graph()
    found: dict[str, str] = {}
    for key in graph.get_all_asset_keys():
        node, name = graph.get(key), "__".join(key.path)
        found[name] = node.group_name
        is_data = node.group_name in ("ingestion", "features")
        for check in node.check_keys:
            found[f"{name}_{check.name}"] = "data_quality" if is_data else node.group_name
    return found


def _seconds(
    result: dg.ExecuteInProcessResult, stages: Mapping[str, str], total: float
) -> dict[str, float]:
    """Return the time of the steps by stage; imports and opening of resources are ``start``."""
    seconds: dict[str, float] = {"start": total}
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.STEP_SUCCESS:
            spent = event.step_success_data.duration_ms / 1000
            stage = stages.get(event.step_key or "", "other")
            seconds[stage] = seconds.get(stage, 0.0) + spent
            seconds["start"] -= spent
    return {**seconds, "total": total}


def _checks(result: dg.ExecuteInProcessResult) -> list[CheckFound]:
    return [
        CheckFound(
            asset=found.asset_key.to_user_string(),
            name=found.check_name,
            passed=found.passed,
            severity=found.severity.value,
            description=found.description or "",
        )
        for found in result.get_asset_check_evaluations()
    ]
