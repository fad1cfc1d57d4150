"""Lineage both ways: what a decision's models learned from, and what a data version has decided."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import polars as pl

from adapters.model_registry import open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from domain.errors import NotOnRecord
from domain.models import ModelVersion
from domain.ports.ledger import Log
from domain.ports.model_registry import ModelRegistry
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import AgentId, ConsensusResult
from orchestration.live_record import LedgerRecord


class Rows(NamedTuple):
    """A symbol's rows of features that a model may have learned from."""

    symbol: str
    rows: int
    first: datetime
    last: datetime


class Learned(NamedTuple):
    """A version that voted, with its ancestors, and what it learned from."""

    label: str
    ancestors: Sequence[str]
    run_id: str
    data_version: str
    code_version: str
    trained_until: datetime
    rows: Sequence[Rows]


class Touched(NamedTuple):
    """A decision that a data version had a part in, and by which versions."""

    decision_id: str
    occurred_at: datetime
    symbol: str
    outcome: str
    versions: Sequence[str]


class _Specification(msgspec.Struct):
    trained_until: datetime


def learned_from(settings: Settings, decision_id: str) -> list[Learned]:
    """Return what each model that voted on a decision learned from, training rows included.

    Raises
    ------
    NotOnRecord
        If no decision has that id (or just one beginning so).
    ModelRefused
        If a version's files are not what was registered.
    """
    found = [d for d in _decisions(settings) if d.decision_id.startswith(decision_id)]
    if len({d.decision_id for d in found}) != 1 or not decision_id:
        raise NotOnRecord(
            f"{len(found)} decisions on record have the id {decision_id or '(none)'}.",
            next_step="`quorum decisions` lists the ids of decisions.",
        )
    registry, deployed = open_model_registry(settings), DeployedModels.of(settings)
    voted = {vote.model_version for vote in found[0].counted}
    known = open_time_series(settings).read(Table.FEATURES)
    return [
        _learned(registry, deployed, version, known)
        for agent in AgentId
        for version in registry.versions(agent)
        if version.label in voted
    ]


def decided_by(settings: Settings, data_version: str) -> list[Touched]:
    """Return every decision that a model voted on which learned from a data version.

    A version has learned from its ancestors' data too, so their descendants count.

    Raises
    ------
    NotOnRecord
        If no registered version learned from it.
    """
    registry = open_model_registry(settings)
    labels: set[str] = set()
    for agent in AgentId:
        versions = registry.versions(agent)
        own = {v.version for v in versions if data_version and v.data_version == data_version}
        labels |= {v.label for v in versions if own & {v.version, *_ancestors(versions, v)}}
    if not labels:
        raise NotOnRecord(
            f"No registered model learned from data version {data_version or '(none)'}.",
            next_step="`quorum models` shows the data version of each.",
        )
    return [
        Touched(d.decision_id, d.occurred_at, d.proposal.symbol, d.outcome, sorted(parts))
        for d in _decisions(settings)
        if (parts := labels & {d.proposal.model_version, *(v.model_version for v in d.counted)})
    ]


def _decisions(settings: Settings) -> list[ConsensusResult]:
    recorded = LedgerRecord(settings).messages(Log.DECISIONS)
    return [message for message in recorded if isinstance(message, ConsensusResult)]


def _learned(
    registry: ModelRegistry, deployed: DeployedModels, version: ModelVersion, known: pl.DataFrame
) -> Learned:
    folder = deployed.install(registry, version).folder
    until = msgspec.json.decode(
        (folder / "model.json").read_bytes(), type=_Specification
    ).trained_until
    versions = registry.versions(version.agent_type)
    labels = {v.version: v.label for v in versions}
    rows = (
        known.filter(pl.col("timestamp") < until)
        .group_by("symbol")
        .agg(pl.len(), first=pl.col("timestamp").min(), last=pl.col("timestamp").max())
        .sort("symbol")
    )
    return Learned(
        label=version.label,
        ancestors=[labels[number] for number in _ancestors(versions, version)],
        run_id=version.run_id,
        data_version=version.data_version,
        code_version=version.code_version,
        trained_until=until,
        rows=[Rows(*row) for row in rows.iter_rows()],
    )


def _ancestors(versions: Sequence[ModelVersion], version: ModelVersion) -> list[int]:
    parents = {v.version: v.parent_version for v in versions}
    found: list[int] = []
    number = version.parent_version
    while number is not None and number not in found:
        found.append(number)
        number = parents.get(number)
    return found
