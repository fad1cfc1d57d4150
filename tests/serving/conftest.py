import asyncio
import hashlib
import warnings
from datetime import UTC, datetime

import pytest
from adapters.deployed_models import model_folder

from domain.models import DeploymentStatus, ModelVersion
from domain.voting import AgentId

with warnings.catch_warnings():  # BentoML's own use of pathspec and pydantic, at import
    warnings.simplefilter("ignore", DeprecationWarning)
    import serving.agent_service  # noqa: F401


@pytest.fixture
def deploy(tmp_path):
    """Put a version's files where services find them; returns the version."""

    def place(agent: AgentId, version: int, weights: bytes = b"") -> ModelVersion:
        files = {"model.safetensors": weights or f"v{version}".encode(), "model.json": b"{}"}
        folder = model_folder(tmp_path, agent, version)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / "manifest.json").write_text("{}")
        return ModelVersion(
            model_id=f"quorum-{agent}",
            version=version,
            agent_type=agent,
            performance_metrics={},
            deployment_status=DeploymentStatus.CHAMPION,
            created_at=datetime(2012, 9, 1, tzinfo=UTC),
            model_artifacts={n: hashlib.sha256(c).hexdigest() for n, c in files.items()},
            data_version="d1",
        )

    return place


@pytest.fixture
def eventually():
    """Wait for what another task, or another process, is about to do."""

    async def wait(condition, seconds=30):
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - nothing tells this loop
                await asyncio.sleep(0.005)

    return wait
