"""The trials ledger: every training run, the failed ones too, is a run in MLflow.

A trial is a nested run of the experiment `EXPERIMENT`, tagged with its agent. `trials_of` counts
them; that number, never one typed in, is what a deflated Sharpe ratio needs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

from domain.voting import AgentId

if TYPE_CHECKING:
    from agents.model import TrainedModel

EXPERIMENT = "quorum-training"
#: Tag of a trial: the Dagster run it belongs to (dagster-mlflow tags its own run otherwise).
DAGSTER_RUN = "quorum.dagster_run"
_AGENT = "quorum.agent"


class Trial:
    """A training run that is under way."""

    def __init__(self, mlflow: Any, run_id: str) -> None:  # noqa: ANN401 - dagster-mlflow's object
        self._mlflow = mlflow
        self.run_id = run_id

    def finish(self, trained: "TrainedModel") -> None:
        """Record what came out: metrics, rows, and the loss curve."""
        from mlflow.entities import Metric, Param  # noqa: PLC0415 - seconds

        measured = [Metric(name, value, 0, 0) for name, value in sorted(trained.metrics.items())]
        curve = [
            Metric(f"loss_{name}", float(getattr(epoch, name)), 0, step)
            for step, epoch in enumerate(trained.loss_curve)
            for name in ("training", "tuning")
        ]
        rows = [Param(f"rows_{name}", str(count)) for name, count in trained.rows.items()]
        self._mlflow.tracking_client.log_batch(self.run_id, metrics=measured + curve, params=rows)


@contextmanager
def trial(
    mlflow: Any,  # noqa: ANN401
    agent: AgentId,
    kind: str,
    parameters: Mapping[str, object],
) -> Iterator[Trial]:
    """Open a trial; it ends FINISHED, or FAILED if the block raises."""
    tags = {_AGENT: agent.value, "quorum.kind": kind, DAGSTER_RUN: mlflow.dagster_run_id}
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


def trials_of(mlflow: Any, agent: AgentId) -> int:  # noqa: ANN401
    """Return how many trials there were for an agent, whatever became of them."""
    client, count, token = mlflow.tracking_client, 0, None
    while True:
        page = client.search_runs(
            [mlflow.experiment.experiment_id],
            f"tags.`{_AGENT}` = '{agent}'",
            max_results=1000,
            page_token=token,
        )
        count += len(page)
        token = page.token
        if not token:
            return count
