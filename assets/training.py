"""Training: per agent its classic policy, and a model that has learned to do better."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import msgspec
import polars as pl

from adapters.time_series.rows import content_hash
from assets.code_version import code_version
from assets.features import features
from assets.ingestion import bars, news
from assets.metadata import line_plot
from assets.records import ModelFolder, Record
from assets.sample import TRAINING_CUTOFF
from assets.trials import LEAST_TUNING_LOSS, MANIFEST, Losses, read_artifact, trial, trials_of
from domain.errors import DataQualityError, ModelRefused
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings, TradingSettings
from domain.voting import AgentId

if TYPE_CHECKING:
    from agents.learning.loop import LearningSettings
    from agents.model import TrainedModel

CODE_VERSION = code_version("agents")
#: The kind of a trial that a search made.
SEARCHED = "searched"


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
    learning: "LearningSettings | None" = None,
) -> dg.MaterializeResult:
    """Train one model as a trial of its own and keep its files under their hash.

    Parameters
    ----------
    kind
        ``classic``, which learns nothing; every other one learns from history and from the
        replay buffer.
    learning
        How the network is fitted; by default as `best_learning` says.
    """
    from agents.learning.training import TASKS  # noqa: PLC0415 - imports torch

    chosen = learning or (best_learning(mlflow, agent) if kind != "classic" else None)
    recipe = Recipe(
        agent=agent,
        kind=kind,
        until=until.isoformat(),
        seed=settings.seed,
        tables={table: store.version(table) for table in _tables(kind)},
        code_version=CODE_VERSION,
        settings=settings.trading.model_dump(mode="json"),
        learning=asdict(replace(chosen or TASKS[agent].LEARNING, seed=settings.seed)),
    )
    known = _known(recipe, store)
    data_version = _version_of(known)
    parameters = {
        **{f: getattr(recipe, f) for f in ("agent", "kind", "seed", "until", "code_version")},
        "data_version": data_version,
        **{f"table_{table}": version for table, version in recipe.tables.items()},
        **{f"learning_{name}": value for name, value in recipe.learning.items()},
    }
    with trial(mlflow, agent, kind, parameters) as run:
        trained = trained_by(recipe, known)
        folder = keep_files(settings.home / "training" / agent, trained, data_version)
        run.finish(trained, _losses(agent, trained), recipe.manifest(data_version), folder)
    record = ModelFolder(
        agent=agent,
        folder=str(folder),
        kind=kind,
        run_id=run.run_id,
        until=recipe.until,
        metrics=trained.metrics,
        data_version=data_version,
        code_version=CODE_VERSION,
        learning=recipe.learning,
        experiences=trained.rows["experiences"],
    )
    return dg.MaterializeResult(
        value=record,
        data_version=dg.DataVersion(folder.name),
        metadata={
            **trained.metrics,
            "rows": trained.rows,
            "trials so far": len(trials_of(mlflow, agent)),
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


class Recipe(Record, frozen=True, kw_only=True):
    """All that a training depends on: with it, it can be made again bit for bit.

    Parameters
    ----------
    tables
        Table → version read (see `TimeSeriesStore`).
    settings, learning
        Of trading (costs, limits), and how the network is fitted.
    """

    agent: AgentId
    kind: str
    until: str
    seed: int
    tables: dict[str, str]
    code_version: str
    settings: dict[str, Any]
    learning: dict[str, int | float]

    def manifest(self, data_version: str) -> dict[str, object]:
        """Return it as plain values, with the hash of the rows that it read."""
        return {**msgspec.to_builtins(self), "data_version": data_version}


def trained_by(recipe: Recipe, known: Mapping[str, pl.DataFrame]) -> "TrainedModel":
    """Return the model that a recipe gives on its rows."""
    from agents.learning.loop import LearningSettings  # noqa: PLC0415 - imports torch
    from agents.learning.training import classic, train  # noqa: PLC0415

    frames = (known[Table.BARS], known[Table.FEATURES], known[Table.NEWS])
    shared = {
        "until": datetime.fromisoformat(recipe.until),
        "seed": recipe.seed,
        "settings": TradingSettings.model_validate(recipe.settings),
    }
    if recipe.kind == "classic":
        return classic(recipe.agent, *frames, **shared)
    learning = msgspec.convert(recipe.learning, LearningSettings)
    return train(recipe.agent, *frames, known[Table.EXPERIENCES], **shared, learning=learning)


def made_again(mlflow: Any, run_id: str, store: TimeSeriesStore) -> "TrainedModel":  # noqa: ANN401
    """Train again what a trial trained, from its manifest and the data as it was then.

    Raises
    ------
    ModelRefused
        If the code is another one now, or the stored rows are not those that it learned from.
    """
    found = read_artifact(mlflow, run_id, MANIFEST)
    data_version = found.pop("data_version")
    recipe = msgspec.convert(found, Recipe)
    if recipe.code_version != CODE_VERSION:
        raise ModelRefused(
            f"Trial {run_id} was made by code {recipe.code_version}, this is {CODE_VERSION}.",
            next_step="Check out that version of the code, then try again.",
        )
    known = _known(recipe, store)
    if _version_of(known) != data_version:
        raise ModelRefused(
            f"The rows that trial {run_id} learned from are not stored any more.",
            next_step="Restore the tables of that time, then try again.",
        )
    return trained_by(recipe, known)


def best_learning(mlflow: Any, agent: AgentId) -> "LearningSettings | None":  # noqa: ANN401
    """Return the settings of the newest search's best trial by tuning loss; None before any."""
    from agents.learning.loop import LearningSettings  # noqa: PLC0415 - imports torch

    found = [
        run for run in trials_of(mlflow, agent, SEARCHED) if LEAST_TUNING_LOSS in run.data.metrics
    ]
    if not found:
        return None
    # Losses up to different days can't be compared: the newest search has the word.
    newest = found[0].data.params["until"]
    found = [run for run in found if run.data.params["until"] == newest]
    best = min(found, key=lambda run: (run.data.metrics[LEAST_TUNING_LOSS], run.info.run_id))
    recipe = read_artifact(mlflow, best.info.run_id, MANIFEST)
    return msgspec.convert(recipe["learning"], LearningSettings)


def _tables(kind: str) -> list[Table]:
    history = [Table.BARS, Table.FEATURES, Table.NEWS]
    return history if kind == "classic" else [*history, Table.EXPERIENCES]


def _known(recipe: Recipe, store: TimeSeriesStore) -> dict[str, pl.DataFrame]:
    """Return the rows before the recipe's end, of the table versions that it names."""
    until = datetime.fromisoformat(recipe.until)
    return {
        name: store.read(Table(name), end=until, version=version or None)
        for name, version in recipe.tables.items()
    }


def _losses(agent: AgentId, trained: "TrainedModel") -> Losses:
    from evaluation.own_task import losses  # noqa: PLC0415 - imports torch

    instants = trained.validation["timestamp"].unique().sort()
    return Losses(
        [instant.isoformat() for instant in instants],
        [float(loss) for loss in losses(agent, trained.validation)],
    )


def keep_files(folder: Path, trained: "TrainedModel", data_version: str) -> Path:
    """Save a model under the hash of its manifest, in one step."""
    from agents import model_files  # noqa: PLC0415 - imports torch

    work = folder / ".unfinished"
    model_files.save(work, trained, data_version=data_version, code_version=CODE_VERSION)
    target = folder / sha256((work / model_files.MANIFEST).read_bytes()).hexdigest()[:16]
    if not target.is_dir():
        work.rename(target)
    return target


def _version_of(known: Mapping[str, pl.DataFrame]) -> str:
    # An empty replay buffer says nothing: with and without it the data is the same.
    content = ";".join(
        f"{table}:{content_hash(frame)}" for table, frame in sorted(known.items()) if frame.height
    )
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
