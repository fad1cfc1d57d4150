"""Models small enough to register in a blink: files and a manifest, no network inside."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.memory import MemoryModelRegistry
from adapters.model_registry.signing import ModelKeys
from assets.records import ModelFolder
from domain.voting import AgentId
from evaluation.gate import GateReport, GateVerdict

AGENT = AgentId.EXECUTION


@pytest.fixture
def registry(tmp_path):
    return MemoryModelRegistry(ModelKeys(tmp_path / "keys"))


@pytest.fixture
def deployed(tmp_path):
    return DeployedModels(tmp_path / "models")


@pytest.fixture
def model(tmp_path):
    def make(name: str) -> ModelFolder:
        folder: Path = tmp_path / "training" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_text(name)
        digest = sha256(name.encode()).hexdigest()
        manifest = {"agent": AGENT, "files": {"model.safetensors": digest}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return ModelFolder(
            agent=AGENT,
            folder=str(folder),
            kind="trained",
            run_id="",
            until="2012-09-01T00:00:00+00:00",
            metrics={"volume_error": 0.5},
            data_version="d",
            code_version="c",
        )

    return make


@pytest.fixture
def verdict():
    def make(*, accepted: bool) -> GateReport:
        return GateReport(
            agent_id=AGENT,
            candidate="new",
            incumbent="old",
            verdict=GateVerdict.ACCEPTED if accepted else GateVerdict.REFUSED,
            reason="better" if accepted else "not better",
            checks=(),
        )

    return make
