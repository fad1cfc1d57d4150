"""Search of how a network is best fitted, over the trials ledger: every try is a trial in it.

The sampler knows what was tried before on the same rows, and what failed. It minimises the loss
on the tuning slice; the validation slice, on which the gate judges, has no say.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.features import features
from assets.ingestion import bars, news
from assets.records import Search
from assets.training import CODE_VERSION, SEARCHED, learn, training_cutoff
from assets.trials import LEAST_TUNING_LOSS, trials_of
from domain.errors import QuorumError
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId

if TYPE_CHECKING:
    from datetime import datetime

    from optuna import Study
    from optuna.distributions import BaseDistribution


class HowLong(dg.Config):
    """How a search is launched: `trials` more tries."""

    trials: int = 10


def search(
    agent: AgentId,
    trials: int,
    *,
    store: TimeSeriesStore,
    settings: Settings,
    mlflow: Any,  # noqa: ANN401 - dagster-mlflow's object
    until: "datetime",
) -> Search:
    """Try `trials` more settings; a try that is refused counts and does not end the search."""
    import optuna  # noqa: PLC0415 - a second

    from agents.learning.loop import LearningSettings  # noqa: PLC0415 - imports torch
    from agents.learning.training import TASKS  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own, space = TASKS[agent].LEARNING, _space()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=settings.seed))
    known = _remember(study, mlflow, agent, until)
    failed = 0
    for _ in range(trials):
        tried = study.ask(space)
        learning = LearningSettings(
            seed=settings.seed,
            epochs=own.epochs,
            batch_rows=own.batch_rows,
            patience=own.patience,
            **tried.params,
        )
        try:
            made = learn(
                agent, SEARCHED, store=store, settings=settings, mlflow=mlflow, until=until,
                learning=learning,
            )  # fmt: skip
        except QuorumError:
            study.tell(tried, state=optuna.trial.TrialState.FAIL)
            failed += 1
            continue
        run = mlflow.tracking_client.get_run(made.value.run_id)
        study.tell(tried, run.data.metrics[LEAST_TUNING_LOSS])
    finished = [t for t in study.trials if t.value is not None]
    best = min(finished, key=lambda t: t.value or 0.0) if finished else None
    return Search(
        agent=agent,
        remembered=known,
        tried=trials,
        failed=failed,
        best=dict(best.params) if best else {},
        least_tuning_loss=best.value if best else None,
    )


def _space() -> "dict[str, BaseDistribution]":
    from optuna.distributions import FloatDistribution, IntDistribution  # noqa: PLC0415

    return {
        "hidden_units": IntDistribution(4, 32, log=True),
        "learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
        "weight_decay": FloatDistribution(1e-3, 0.3, log=True),
    }


def _remember(study: "Study", mlflow: Any, agent: AgentId, until: "datetime") -> int:  # noqa: ANN401
    """Tell the study of the ledger's tries up to the same day; returns their number."""
    from optuna.trial import TrialState, create_trial  # noqa: PLC0415

    space, count = _space(), 0
    for run in reversed(trials_of(mlflow, agent, SEARCHED)):
        params = run.data.params
        if params.get("until") != until.isoformat():
            continue
        count += 1
        value = run.data.metrics.get(LEAST_TUNING_LOSS)
        tried = {
            name: type(low)(params[f"learning_{name}"])
            for name, distribution in space.items()
            if (low := distribution.low) is not None  # type: ignore[attr-defined]
        }
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, params=tried, distributions=space, value=value))
    return count


def _search_asset(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "search"],
        group_name="search",
        owners=["team:research"],
        kinds={"torch", "mlflow"},
        tags={"stage": "training", "agent": agent.value},
        io_manager_key="files",
        deps=[bars, features, news],
        code_version=CODE_VERSION,
        description="Settings of the network's fitting, searched with Optuna over the trials "
        "ledger; the next training takes the best.",
    )
    def searched(
        config: HowLong,
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        until = training_cutoff(settings, store)
        found = search(
            agent, config.trials, store=store, settings=settings, mlflow=mlflow, until=until
        )
        return dg.MaterializeResult(
            value=found,
            metadata={
                "remembered": found.remembered,
                "tried": found.tried,
                "failed": found.failed,
                "best": found.best,
                "least_tuning_loss": found.least_tuning_loss or float("nan"),
            },
        )

    return searched


searches = [_search_asset(agent) for agent in AgentId]
