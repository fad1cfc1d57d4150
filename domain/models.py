"""Model versions and where each stands in its life."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.messages import Value, set_field, utc
from domain.voting import AgentId


class DeploymentStatus(StrEnum):
    """Where a model version stands; `domain.model_life` says how it gets there."""

    REGISTERED = "REGISTERED"
    VALIDATED = "VALIDATED"
    SHADOW = "SHADOW"
    CANARY_5 = "CANARY_5"
    CANARY_25 = "CANARY_25"
    CANARY_50 = "CANARY_50"
    LIVE = "LIVE"
    RETIRED = "RETIRED"
    ABORTED = "ABORTED"
    ROLLED_BACK = "ROLLED_BACK"
    QUARANTINED = "QUARANTINED"


class Alias(StrEnum):
    """Names in the registry that point at one version each."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    PREVIOUS = "previous"


class ModelVersion(Value, frozen=True, kw_only=True):
    """One registered version of one agent's model.

    Parameters
    ----------
    model_id
        Registered name: ``quorum-<agent>``.
    version
        1, 2, 3 … per model; version 1 is the classic, untrained policy.
    performance_metrics
        Metric name → value on data the model never saw.
    model_artifacts
        File name → SHA-256 of its bytes.
    run_id, data_version, code_version, parent_version
        Lineage: the training run, what it read, what code ran, and which version it came from.
    signature
        The registry's Ed25519 signature (hex) of all that never changes of a version.
    """

    model_id: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    agent_type: AgentId
    performance_metrics: dict[str, float]
    deployment_status: DeploymentStatus
    created_at: datetime
    model_artifacts: dict[str, str]
    run_id: str = ""
    data_version: str = ""
    code_version: str = ""
    parent_version: int | None = None
    signature: str = ""

    def __post_init__(self) -> None:
        set_field(self, "created_at", utc(self.created_at, "created_at"))

    @property
    def label(self) -> str:
        """What votes carry: ``market_analyst@3:1f2e3d4c`` (agent, version, weights hash)."""
        weights = self.model_artifacts.get("model.safetensors", "")
        return f"{self.agent_type}@{self.version}:{weights[:8]}"
