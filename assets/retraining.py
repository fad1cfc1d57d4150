"""Retraining: one agent learns from what the platform lived through, and becomes challenger."""

from datetime import datetime
from typing import Any

import dagster as dg

from adapters.model_registry.deployed import DeployedModels
from assets.code_version import code_version
from assets.experience import experiences
from assets.features import features
from assets.ingestion import bars, news
from assets.records import ModelFolder
from assets.registration import challenge
from assets.training import CODE_VERSION, learn
from assets.trials import keep_card, past_trials
from domain.errors import DataQualityError, ModelRefused
from domain.ports.model_registry import ModelRegistry
from domain.ports.model_source import DeployedModel
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId


class Retraining(dg.Config):
    """How a retraining is launched.

    `until` ends what is learned from (ISO 8601, aware); proposals after it are left for the A/B
    test. Empty takes the first quarter of the experiences: a verdict takes more than learning does.
    """

    until: str = ""


def retraining_cutoff(config: Retraining, store: TimeSeriesStore) -> datetime:
    """Return the instant before which a retraining learns.

    Raises
    ------
    DataQualityError
        If there is nothing to learn from.
    """
    if config.until:
        return datetime.fromisoformat(config.until)
    lived = store.read(Table.EXPERIENCES)
    if lived.is_empty():
        raise DataQualityError(
            "There are no experiences to learn from.",
            next_step="Let the platform trade until horizons have passed, then try again.",
        )
    return lived["timestamp"].sort()[lived.height // 4]


def champion_of(deployed: DeployedModels, agent: AgentId) -> DeployedModel:
    """Return the deployed champion.

    Raises
    ------
    ModelRefused
        If the agent has none yet.
    """
    found = deployed.current(agent)
    if found is None:
        raise ModelRefused(
            f"{agent} has no champion that a challenger could be compared with.",
            next_step="Materialize its promotion first, or run `quorum train`.",
        )
    return found


def _retrained_model(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "retrained_model"],
        group_name="retraining",
        owners=["team:research"],
        kinds={"torch", "mlflow"},
        tags={"stage": "retraining", "agent": agent.value},
        io_manager_key="files",
        deps=[bars, features, news, experiences],
        code_version=CODE_VERSION,
        description="The model trained again, on history and experiences up to a cutoff.",
    )
    def retrained_model(
        config: Retraining,
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        until = retraining_cutoff(config, store)
        return learn(agent, "retrained", store=store, settings=settings, mlflow=mlflow, until=until)

    return retrained_model


def _challenger(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "challenger"],
        ins={"retrained": dg.AssetIn(key=[agent.value, "retrained_model"])},
        group_name="registration",
        owners=["team:platform"],
        kinds={"mlflow"},
        tags={"stage": "registration", "agent": agent.value},
        io_manager_key="files",
        code_version=code_version("assets.registration", "assets.gate"),
        description="The retrained model, judged by the gate and registered as challenger.",
    )
    def challenger(
        retrained: ModelFolder,
        *,
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        from assets.gate import validate  # noqa: PLC0415 - imports torch
        from assets.whole import incumbents_of  # noqa: PLC0415

        champion = champion_of(deployed, agent)
        incumbents = incumbents_of(deployed, {})
        past = past_trials(mlflow, agent, retrained.run_id)
        verdict = validate(agent, retrained, incumbents, past, store=store, settings=settings)
        made = challenge(registry, retrained, champion.version, verdict, settings)
        keep_card(mlflow, retrained.run_id, made)
        return made

    return challenger


retrained_models = [_retrained_model(agent) for agent in AgentId]
challengers = [_challenger(agent) for agent in AgentId]
