"""Training: per agent its classic policy, and a model that has learned to do better."""

from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from adapters.time_series.rows import content_hash
from assets.code_version import code_version
from assets.features import features
from assets.ingestion import bars, news
from assets.metadata import line_plot
from assets.records import ModelFolder
from assets.sample import TRAINING_CUTOFF
from assets.trials import trial, trials_of
from domain.errors import DataQualityError
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId

if TYPE_CHECKING:
    from agents.model import TrainedModel

CODE_VERSION = code_version("agents")


def training_cutoff(settings: Settings, store: TimeSeriesStore) -> datetime:
    """Return the instant before which models learn.

    Raises
    ------
    DataQualityError
        If there are no bars at all.
    """
    if settings.training.until:
        return datetime.combine(settings.training.until, time(), UTC)
    if settings.data_folder is None:
        return TRAINING_CUTOFF
    last = store.read(Table.BARS)
    if last.is_empty():
        raise DataQualityError(
            "There are no bars to learn from.", next_step="Materialize the asset bars first."
        )
    return last["timestamp"].max() + timedelta(days=1)  # type: ignore[operator,return-value]


def learn(
    agent: AgentId,
    kind: str,
    *,
    store: TimeSeriesStore,
    settings: Settings,
    mlflow: Any,  # noqa: ANN401 - dagster-mlflow's object
    until: datetime,
) -> dg.MaterializeResult:
    """Train one model as a trial of its own and keep its files under their hash.

    `kind` is ``classic``, ``trained``, or ``retrained`` (which learns from experiences too).
    """
    from agents.learning.training import classic, train  # noqa: PLC0415 - imports torch

    tables = [Table.BARS, Table.FEATURES, Table.NEWS]
    tables += [Table.EXPERIENCES] if kind == "retrained" else []
    known = {table: store.read(table, end=until) for table in tables}
    data_version = _version_of(known)
    parameters = {
        "agent": agent.value,
        "kind": kind,
        "seed": settings.seed,
        "until": until.isoformat(),
        "data_version": data_version,
        "code_version": CODE_VERSION,
        **{f"table_{table}": store.version(table) for table in tables},
    }
    shared = {"until": until, "seed": settings.seed, "settings": settings.trading}
    frames = (known[Table.BARS], known[Table.FEATURES], known[Table.NEWS])
    with trial(mlflow, agent, kind, parameters) as run:
        if kind == "classic":
            trained = classic(agent, *frames, **shared)
        else:
            trained = train(agent, *frames, known.get(Table.EXPERIENCES), **shared)
        folder = _keep(settings.home / "training" / agent, trained, data_version)
        run.finish(trained)
    record = ModelFolder(
        agent=agent,
        folder=str(folder),
        kind=kind,
        run_id=run.run_id,
        until=until.isoformat(),
        metrics=trained.metrics,
        data_version=data_version,
        code_version=CODE_VERSION,
    )
    return dg.MaterializeResult(
        value=record,
        data_version=dg.DataVersion(folder.name),
        metadata={
            **trained.metrics,
            "rows": trained.rows,
            "trials so far": trials_of(mlflow, agent),
            "mlflow_run": run.run_id,
            "loss": line_plot(
                "loss by epoch",
                {
                    "training": [epoch.training for epoch in trained.loss_curve],
                    "tuning": [epoch.tuning for epoch in trained.loss_curve],
                },
            ),
        },
    )


def _keep(folder: Path, trained: "TrainedModel", data_version: str) -> Path:
    """Save a model under the hash of its manifest, in one step."""
    from agents.model_files import MANIFEST, save  # noqa: PLC0415 - imports torch

    work = folder / ".unfinished"
    save(work, trained, data_version=data_version, code_version=CODE_VERSION)
    target = folder / sha256((work / MANIFEST).read_bytes()).hexdigest()[:16]
    if not target.is_dir():
        work.rename(target)
    return target


def _version_of(known: dict[Table, pl.DataFrame]) -> str:
    content = ";".join(f"{table}:{content_hash(frame)}" for table, frame in sorted(known.items()))
    return sha256(content.encode()).hexdigest()


def _training_asset(agent: AgentId, kind: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, f"{kind}_model"],
        group_name="training",
        owners=["team:research"],
        kinds={"torch", "mlflow"},
        tags={"stage": "training", "agent": agent.value},
        io_manager_key="files",
        deps=[bars, features, news],
        code_version=CODE_VERSION,
        description=description,
    )
    def model(
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        until = training_cutoff(settings, store)
        return learn(agent, kind, store=store, settings=settings, mlflow=mlflow, until=until)

    return model


classic_models = [
    _training_asset(a, "classic", "The untrained policy: hand-set weights, calibrated scores.")
    for a in AgentId
]
trained_models = [
    _training_asset(a, "trained", "The policy plus a learned correction.") for a in AgentId
]
