"""The trials ledger: every training run, the failed ones too, is a run in MLflow.

A trial is a nested run of the experiment `EXPERIMENT`, tagged with its agent. `past_trials` counts
them; that number, never one typed in, is what a deflated Sharpe ratio needs. Each finished one
holds its manifest (all that it takes to make it again), its losses on the days it was judged on,
its curve as numbers and as a picture, and its files.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import dagster as dg

from assets.metadata import line_picture
from domain.voting import AgentId

if TYPE_CHECKING:
    from mlflow.entities import Run

    from agents.model import TrainedModel

EXPERIMENT = "quorum-training"
#: Tag of a trial: the Dagster run it belongs to (dagster-mlflow tags its own run otherwise).
DAGSTER_RUN = "quorum.dagster_run"
_AGENT, _KIND, _JUDGED = "quorum.agent", "quorum.kind", "quorum.judged_on"
#: The metric that a search minimises.
LEAST_TUNING_LOSS = "least_tuning_loss"
MANIFEST, _LOSSES, _PICTURE = "manifest.json", "losses.json", "loss.svg"


class Losses(NamedTuple):
    """Own-task losses on the days that a trial was judged on, one per instant (ISO 8601)."""

    instants: Sequence[str]
    values: Sequence[float]

    @property
    def judged_on(self) -> str:
        """Short hash of the instants: trials with the same one can be compared in pairs."""
        return sha256(json.dumps(list(self.instants)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PastTrials:
    """What the trials ledger knows of an agent.

    Parameters
    ----------
    count
        How many trials there ever were, whatever became of them.
    losses
        Own-task losses of those that were judged on the same instants, by their run.
    """

    count: int
    losses: Mapping[str, Sequence[float]]


class Trial:
    """A training run that is under way."""

    def __init__(self, mlflow: Any, run_id: str) -> None:  # noqa: ANN401 - dagster-mlflow's object
        self._client = mlflow.tracking_client
        self.run_id = run_id

    def finish(
        self,
        trained: "TrainedModel",
        losses: Losses,
        manifest: Mapping[str, object],
        folder: Path,
    ) -> None:
        """Record what came out: metrics, rows, the loss curve, and what it takes to re-make it."""
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - seconds

        measured = [Metric(name, value, 0, 0) for name, value in sorted(trained.metrics.items())]
        if trained.loss_curve:
            least = min(float(epoch.tuning) for epoch in trained.loss_curve)
            measured.append(Metric(LEAST_TUNING_LOSS, least, 0, 0))
        curve = {
            name: [float(getattr(epoch, name)) for epoch in trained.loss_curve]
            for name in ("training", "tuning")
        }
        steps = [
            Metric(f"loss_{name}", value, 0, step)
            for name, values in curve.items()
            for step, value in enumerate(values)
        ]
        rows = [Param(f"rows_{name}", str(count)) for name, count in trained.rows.items()]
        tags = [RunTag(_JUDGED, losses.judged_on)]
        self._client.log_batch(self.run_id, metrics=measured + steps, params=rows, tags=tags)
        self._client.log_dict(self.run_id, losses._asdict(), _LOSSES)
        if trained.loss_curve:
            self._client.log_text(self.run_id, line_picture("loss by epoch", curve), _PICTURE)
        self.keep(manifest, folder)

    def measured(self, metrics: Mapping[str, float]) -> None:
        """Record how good it is."""
        from mlflow.entities import Metric  # noqa: PLC0415 - seconds

        found = [Metric(name, value, 0, 0) for name, value in sorted(metrics.items())]
        self._client.log_batch(self.run_id, metrics=found)

    def keep(self, manifest: Mapping[str, object], folder: Path) -> None:
        """Record what it takes to make it again, and its files."""
        self._client.log_dict(self.run_id, dict(manifest), MANIFEST)
        self._client.log_artifacts(self.run_id, str(folder), "model")


@contextmanager
def trial(
    mlflow: Any,  # noqa: ANN401
    agent: AgentId | Literal["headlines"],
    kind: str,
    parameters: Mapping[str, object],
) -> Iterator[Trial]:
    """Open a trial; it ends FINISHED, or FAILED if the block raises."""
    tags = {_AGENT: str(agent), _KIND: kind, DAGSTER_RUN: mlflow.dagster_run_id}
    with mlflow.start_run(nested=True, run_name=f"{agent} {kind}", tags=tags) as run:
        try:
            mlflow.log_params(dict(parameters))
            yield Trial(mlflow, run.info.run_id)
        except BaseException as problem:
            release(problem)
            raise


def release(problem: BaseException) -> None:
    """Let go of what the interrupted calls held, so that the run can be ended.

    Ctrl-C in the middle of a query leaves its cursor in the traceback, and the cursor's lock keeps
    MLflow from writing that the run is over.
    """
    clear_frames(problem.__traceback__)


def past_trials(mlflow: Any, agent: AgentId, run_id: str) -> PastTrials:  # noqa: ANN401
    """Return an agent's trials, with the losses of those judged on the same days as `run_id`."""
    client = mlflow.tracking_client
    judged_on = client.get_run(run_id).data.tags.get(_JUDGED, "")
    every = _runs(mlflow, f"tags.`{_AGENT}` = '{agent}'")
    alike = [run for run in every if judged_on and run.data.tags.get(_JUDGED) == judged_on]
    return PastTrials(
        len(every),
        {
            run.info.run_id: read_artifact(mlflow, run.info.run_id, _LOSSES)["values"]
            for run in alike
        },
    )


def trials_of(mlflow: Any, agent: AgentId | Literal["headlines"], kind: str = "") -> "list[Run]":  # noqa: ANN401
    """Return an agent's trials, the newest first, whatever became of them."""
    wanted = f"tags.`{_AGENT}` = '{agent}'"
    return _runs(mlflow, wanted + (f" and tags.`{_KIND}` = '{kind}'" if kind else ""))


def keep_card(mlflow: Any, run_id: str, made: dg.MaterializeResult) -> None:  # noqa: ANN401
    """Put the model card that a registration names into the trial's run too."""
    card = (made.metadata or {}).get("card")
    if isinstance(card, dg.PathMetadataValue):
        folder = Path(str(card.path)).parent
        mlflow.tracking_client.log_artifacts(run_id, str(folder), "model_card")


def read_artifact(mlflow: Any, run_id: str, name: str) -> Any:  # noqa: ANN401
    """Return a trial's JSON artefact."""
    return json.loads(Path(mlflow.tracking_client.download_artifacts(run_id, name)).read_text())


def _runs(mlflow: Any, wanted: str) -> "list[Run]":  # noqa: ANN401
    found: list[Run] = []
    token = None
    while True:
        page = mlflow.tracking_client.search_runs(
            [mlflow.experiment.experiment_id], wanted, max_results=1000, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found
