"""One conformance suite for every model registry; a new one is one line in `REGISTRIES`."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.model_registry import open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.memory import MemoryModelRegistry
from domain.errors import ModelRefused
from domain.models import Alias, DeploymentStatus
from domain.ports.model_registry import ModelRegistry
from domain.settings import Settings
from domain.voting import AgentId

REGISTRIES: dict[str, Callable[[Path], ModelRegistry]] = {
    "memory": lambda _: MemoryModelRegistry(),
    "mlflow": lambda home: open_model_registry(Settings(home=home)),
}
AGENT = AgentId.RISK_MANAGER


@pytest.fixture(scope="module", params=REGISTRIES)
def shared(request, tmp_path_factory):
    """Return a registry; MLflow's database takes seconds to make, so a module shares one."""
    return REGISTRIES[request.param](tmp_path_factory.mktemp("home"))


@pytest.fixture
def registry(shared):
    for agent in AgentId:
        for alias in Alias:
            if found := shared.version(agent, alias):
                shared.set_alias(agent, alias, None, expected=found.version)
    return shared


def model(folder: Path, weights: str, agent: AgentId = AGENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = {"model.safetensors": weights.encode(), "model.json": b"{}"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {"agent": agent, "files": {n: sha256(d).hexdigest() for n, d in files.items()}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def register(registry, folder: Path, agent: AgentId = AGENT, **more):
    known = {"metrics": {"skill": 0.25}, "run_id": "", "data_version": "d", "code_version": "c"}
    return registry.register(agent, folder, **{**known, **more})


def test_versions_count_up_and_keep_what_they_were_told(registry, tmp_path):
    first = register(registry, model(tmp_path / "a", f"count {tmp_path}"))
    second = register(
        registry, model(tmp_path / "b", f"more {tmp_path}"), parent_version=first.version
    )
    assert second.version == first.version + 1
    assert list(registry.versions(AGENT)[-2:]) == [first, second]
    assert second.model_id == "quorum-risk_manager"
    assert second.performance_metrics == {"skill": 0.25}
    assert (second.data_version, second.code_version) == ("d", "c")
    assert second.parent_version == first.version
    assert second.deployment_status is DeploymentStatus.REGISTERED
    weights = sha256(f"more {tmp_path}".encode()).hexdigest()
    assert second.label == f"risk_manager@{second.version}:{weights[:8]}"
    assert registry.version(AGENT, second.version) == second


def test_the_same_files_are_one_version(registry, tmp_path):
    first = register(registry, model(tmp_path / "a", f"same {tmp_path}"))
    again = register(registry, model(tmp_path / "b", f"same {tmp_path}"), run_id="")
    assert again.version == first.version


def test_agents_have_versions_of_their_own(registry, tmp_path):
    other = AgentId.EXECUTION
    before = len(registry.versions(other))
    register(registry, model(tmp_path / "a", f"own {tmp_path}", other), other)
    register(registry, model(tmp_path / "b", f"own {tmp_path}"))
    assert len(registry.versions(other)) == before + 1


def test_fetched_files_are_those_registered(registry, tmp_path):
    version = register(registry, model(tmp_path / "a", f"fetch {tmp_path}"))
    folder = registry.fetch(version, tmp_path / "into")
    assert folder == tmp_path / "into" / str(version.version)
    assert (folder / "model.safetensors").read_text() == f"fetch {tmp_path}"
    assert registry.fetch(version, tmp_path / "into") == folder
    assert [p.name for p in (tmp_path / "into").iterdir()] == [folder.name]


def test_a_folder_that_was_altered_after_its_fetch_is_refused(registry, tmp_path):
    version = register(registry, model(tmp_path / "a", f"flip {tmp_path}"))
    folder = registry.fetch(version, tmp_path / "into")
    (folder / "model.safetensors").write_text("flipped")
    with pytest.raises(ModelRefused, match=r"model\.safetensors was altered"):
        registry.fetch(version, tmp_path / "into")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no manifest"),
        (lambda f: (f / "manifest.json").write_text("{"), "malformed"),
        (lambda f: (f / "model.json").write_text("{ }"), "was altered"),
        (lambda f: (f / "model.json").unlink(), "is missing"),
        (lambda f: (f / "more.bin").write_text("x"), "not in the manifest"),
        (lambda f: model(f, "w", AgentId.EXECUTION), "a model of execution"),
    ],
    ids=["no manifest", "malformed", "altered", "missing", "extra", "other agent"],
)
def test_a_folder_that_differs_from_its_manifest_is_refused(registry, tmp_path, spoil, message):
    before = len(registry.versions(AGENT))
    folder = model(tmp_path / "a", "spoilt")
    spoil(folder)
    with pytest.raises(ModelRefused, match=message):
        register(registry, folder)
    assert len(registry.versions(AGENT)) == before


def test_an_alias_moves_only_from_where_it_was_expected(registry, tmp_path):
    one = register(registry, model(tmp_path / "a", f"one {tmp_path}")).version
    two = register(registry, model(tmp_path / "b", f"two {tmp_path}")).version
    assert registry.version(AGENT, Alias.CHAMPION) is None
    assert registry.set_alias(AGENT, Alias.CHAMPION, one, expected=None)
    assert not registry.set_alias(AGENT, Alias.CHAMPION, two, expected=None)
    assert registry.version(AGENT, Alias.CHAMPION).version == one
    assert registry.set_alias(AGENT, Alias.CHAMPION, two, expected=one)
    assert registry.version(AGENT, Alias.CHAMPION).version == two
    assert registry.set_alias(AGENT, Alias.CHAMPION, None, expected=two)
    assert registry.version(AGENT, Alias.CHAMPION) is None


def test_twenty_moves_at_once_leave_one_winner(registry, tmp_path):
    start = register(registry, model(tmp_path / "a", f"start {tmp_path}")).version
    goal = register(registry, model(tmp_path / "b", f"goal {tmp_path}")).version
    registry.set_alias(AGENT, Alias.CHAMPION, start, expected=None)

    def move(_):
        return registry.set_alias(AGENT, Alias.CHAMPION, goal, expected=start)

    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(move, range(20)))
    assert moved.count(True) == 1
    assert registry.version(AGENT, Alias.CHAMPION).version == goal


def test_a_status_is_recorded(registry, tmp_path):
    version = register(registry, model(tmp_path / "a", f"status {tmp_path}"))
    registry.set_status(AGENT, version.version, DeploymentStatus.CHALLENGER)
    found = registry.version(AGENT, version.version)
    assert found.deployment_status is DeploymentStatus.CHALLENGER


def test_unknown_versions_are_refused(registry, tmp_path):
    with pytest.raises(ModelRefused, match="no version 999"):
        registry.set_alias(AGENT, Alias.CHAMPION, 999, expected=None)
    with pytest.raises(ModelRefused, match="no version 999"):
        registry.set_status(AGENT, 999, DeploymentStatus.RETIRED)
    assert registry.version(AGENT, 999) is None


def test_deployed_models_need_no_registry_to_be_read(tmp_path):
    registry = MemoryModelRegistry()
    version = register(registry, model(tmp_path / "a", "served"))
    models = DeployedModels(tmp_path / "models")
    assert models.current(AGENT) is None
    with pytest.raises(ModelRefused, match="no manifest"):
        models.point(Alias.CHAMPION, version)
    models.install(registry, version)
    models.point(Alias.CHAMPION, version)
    found = DeployedModels(tmp_path / "models").current(AGENT)
    assert found.version == version
    assert found.folder == tmp_path / "models" / AGENT / "1"
    models.drop(AGENT, Alias.CHAMPION)
    assert models.current(AGENT) is None


def test_a_flipped_byte_or_a_torn_pointer_is_refused(tmp_path):
    registry = MemoryModelRegistry()
    version = register(registry, model(tmp_path / "a", "served"))
    models = DeployedModels(tmp_path / "models")
    models.install(registry, version)
    deployed = models.point(Alias.CHAMPION, version)
    (deployed.folder / "model.safetensors").write_text("Served")
    with pytest.raises(ModelRefused, match="was altered"):
        models.current(AGENT)
    models.pointer(AGENT).write_text('{"model_id": "qu')
    with pytest.raises(ModelRefused, match="malformed"):
        models.current(AGENT)


def test_importing_mlflow_here_forbids_pickles_and_telemetry(tmp_path):
    open_model_registry(Settings(home=tmp_path))
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
