import asyncio
import hashlib
import warnings
from datetime import UTC, datetime

import msgspec
import pytest

from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from domain.messages import encode
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.voting import AgentId

with warnings.catch_warnings():  # BentoML's own use of pathspec and pydantic, at import
    warnings.simplefilter("ignore", DeprecationWarning)
    import serving.agent_service  # noqa: F401


@pytest.fixture
def models(tmp_path):
    """What this machine serves."""
    return DeployedModels(tmp_path / "models")


@pytest.fixture
def deploy(tmp_path):
    """Put a version's files where services find them; returns the version."""

    def place(agent: AgentId, version: int, weights: bytes = b"") -> ModelVersion:
        files = {"model.safetensors": weights or f"v{version}".encode(), "model.json": b"{}"}
        folder = tmp_path / "models" / agent / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        manifest = msgspec.json.encode({"agent": agent, "files": hashes})
        (folder / "manifest.json").write_bytes(manifest)
        version = ModelVersion(
            model_id=f"quorum-{agent}",
            version=version,
            agent_type=agent,
            performance_metrics={},
            deployment_status=DeploymentStatus.LIVE,
            created_at=datetime(2012, 9, 1, tzinfo=UTC),
            model_artifacts=verified(folder, agent),
            data_version="d1",
        )
        signed = ModelKeys(tmp_path / "keys").sign(version)
        (folder.parent / f"{version.version}.json").write_bytes(encode(signed))
        return signed

    return place


@pytest.fixture
def promote(models):
    """Move an agent's pointers: what to fall back to first, then the champion."""

    def move(champion: ModelVersion, previous: ModelVersion | None = None) -> None:
        if previous is not None:
            models.point(Alias.PREVIOUS, previous)
        models.point(Alias.CHAMPION, champion)

    return move


@pytest.fixture
def eventually():
    """Wait for what another task, or another process, is about to do."""

    async def wait(condition, seconds=30):
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - nothing tells this loop
                await asyncio.sleep(0.005)

    return wait
