"""One conformance suite for every model registry; a new one is one line in `REGISTRIES`."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import msgspec
import pytest

from adapters.model_registry import mlflow_uri, open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.memory import MemoryModelRegistry
from adapters.model_registry.mlflow import MlflowModelRegistry, mlflow_client
from adapters.model_registry.signing import ModelKeys
from domain.errors import IllegalMove, ModelRefused
from domain.model_life import ModelMove, fold, next_move
from domain.models import Alias, DeploymentStatus
from domain.ports.model_registry import ModelRegistry
from domain.settings import Settings
from domain.voting import AgentId

REGISTRIES: dict[str, Callable[[Path], ModelRegistry]] = {
    "memory": lambda home: MemoryModelRegistry(ModelKeys(home / "keys")),
    "mlflow": lambda home: open_model_registry(Settings(home=home)),
}
AGENT = AgentId.RISK_MANAGER
S = DeploymentStatus
NOON = datetime(2013, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module", params=REGISTRIES)
def shared(request, tmp_path_factory):
    """Return a registry; MLflow's database takes seconds to make, so a module shares one."""
    return REGISTRIES[request.param](tmp_path_factory.mktemp("home"))


@pytest.fixture
def registry(shared):
    return shared


@pytest.fixture
def keys(shared):
    return shared._keys


def step(registry, version: int, after: DeploymentStatus, **fields) -> ModelMove:
    """Return the move that comes next as the registry stands."""
    life = fold(AGENT, registry.moves(AGENT))
    return next_move(life, version, after, actor="test", reason="r", occurred_at=NOON, **fields)


def go(registry, version: int, *path: DeploymentStatus):
    for after in path:
        registry.record(step(registry, version, after))


def alias(registry, name: Alias) -> int | None:
    found = registry.version(AGENT, name)
    return None if found is None else found.version


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


def test_aliases_follow_the_moves(registry, tmp_path):
    one = register(registry, model(tmp_path / "a", f"one {tmp_path}")).version
    two = register(registry, model(tmp_path / "b", f"two {tmp_path}")).version
    assert alias(registry, Alias.CHALLENGER) == two
    before = alias(registry, Alias.CHAMPION)
    go(registry, one, S.VALIDATED, S.LIVE)
    assert (alias(registry, Alias.CHAMPION), alias(registry, Alias.PREVIOUS)) == (one, before)
    go(registry, two, S.VALIDATED, S.LIVE)
    assert (alias(registry, Alias.CHAMPION), alias(registry, Alias.PREVIOUS)) == (two, one)
    assert alias(registry, Alias.CHALLENGER) not in {one, two}
    go(registry, two, S.ROLLED_BACK)
    assert (alias(registry, Alias.CHAMPION), alias(registry, Alias.PREVIOUS)) == (one, before)
    statuses = {v.version: v.deployment_status for v in registry.versions(AGENT)}
    assert (statuses[one], statuses[two]) == (S.LIVE, S.ROLLED_BACK)


def test_fifty_moves_at_once_leave_one_winner_and_a_true_history(registry, tmp_path):
    names = [register(registry, model(tmp_path / n, f"{n} {tmp_path}")).version for n in "abcde"]
    go(registry, names[0], S.VALIDATED, S.LIVE)
    for rival in names[1:]:
        go(registry, rival, S.VALIDATED)
    before = registry.moves(AGENT)
    tries = [step(registry, names[1 + i % 4], S.LIVE, evidence=f"{i}") for i in range(50)]
    together = Barrier(10)

    def move(tried):
        if tries.index(tried) < 10:
            together.wait(60)
        try:
            registry.record(tried)
        except IllegalMove:
            return None
        return tried

    with ThreadPoolExecutor(10) as pool:
        (winner,) = [found for found in pool.map(move, tries) if found]
    assert registry.moves(AGENT) == (*before, winner)
    assert fold(AGENT, registry.moves(AGENT)).live == winner.version
    assert alias(registry, Alias.CHAMPION) == winner.version
    assert alias(registry, Alias.PREVIOUS) == names[0]


def test_an_illegal_move_leaves_no_trace(registry, tmp_path):
    version = register(registry, model(tmp_path / "a", f"trace {tmp_path}")).version
    before = registry.moves(AGENT)
    with pytest.raises(IllegalMove):
        registry.record(step(registry, version, S.CANARY_50))
    assert registry.moves(AGENT) == before


def test_unknown_versions_are_refused(registry):
    with pytest.raises(ModelRefused, match="no version 999"):
        registry.record(step(registry, 999, S.VALIDATED))
    assert registry.version(AGENT, 999) is None


def test_the_registry_signs_what_it_registers(registry, keys, tmp_path):
    version = register(registry, model(tmp_path / "a", f"signed {tmp_path}"))
    keys.check(version)
    keys.check(registry.version(AGENT, version.version))
    go(registry, version.version, S.VALIDATED)
    keys.check(registry.version(AGENT, version.version))


@pytest.mark.parametrize(
    "forged",
    [
        {"version": 77},
        {"agent_type": AgentId.EXECUTION},
        {"model_artifacts": {"model.safetensors": "0" * 64}},
        {"data_version": "another"},
        {"code_version": "another"},
        {"run_id": "another"},
        {"parent_version": 99},
        {"performance_metrics": {"skill": 9.0}},
        {"signature": ""},
        {"signature": "00" * 64},
        {"signature": "no hex"},
    ],
    ids=lambda f: f"{next(iter(f))} {next(iter(f.values()))}"[:30],
)
def test_a_forged_version_is_refused_before_its_files_are_looked_at(
    registry, keys, tmp_path, forged
):
    version = register(registry, model(tmp_path / "a", f"forged {tmp_path}"))
    wrong = msgspec.structs.replace(version, **forged)
    with pytest.raises(ModelRefused, match="signature is wrong"):
        registry.fetch(wrong, tmp_path / "into")
    assert not (tmp_path / "into").exists()
    with pytest.raises(ModelRefused, match="signature is wrong"):
        DeployedModels(tmp_path / "models", keys).point(Alias.CHAMPION, wrong)


def test_who_has_another_public_key_serves_nothing(registry, tmp_path):
    version = register(registry, model(tmp_path / "a", f"key {tmp_path}"))
    others = ModelKeys(tmp_path / "keys")
    with pytest.raises(ModelRefused, match=r"there is no .*models\.public\.pem"):
        others.check(version)
    others.sign(version)
    with pytest.raises(ModelRefused, match="signature is wrong"):
        others.check(version)


def test_the_private_key_is_its_owner_s_and_who_serves_needs_only_the_public_one(tmp_path):
    version = register(
        MemoryModelRegistry(ModelKeys(tmp_path / "keys")), model(tmp_path / "a", "key")
    )
    assert (tmp_path / "keys" / "models.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys" / "models.pem").unlink()
    ModelKeys(tmp_path / "keys").check(version)


def test_deployed_models_need_no_registry_to_be_read(tmp_path):
    registry = MemoryModelRegistry(ModelKeys(tmp_path / "keys"))
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
    registry = MemoryModelRegistry(ModelKeys(tmp_path / "keys"))
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


def test_a_pointer_to_another_agent_s_model_is_refused(tmp_path):
    registry = MemoryModelRegistry(ModelKeys(tmp_path / "keys"))
    other = register(registry, model(tmp_path / "a", "other", AgentId.EXECUTION), AgentId.EXECUTION)
    models = DeployedModels(tmp_path / "models")
    models.install(registry, other)
    models.point(Alias.CHAMPION, other)
    models.pointer(AGENT).parent.mkdir(exist_ok=True)
    models.pointer(AGENT).write_bytes(models.pointer(AgentId.EXECUTION).read_bytes())
    with pytest.raises(ModelRefused, match="names a model of execution, not of risk_manager"):
        models.current(AGENT)


def test_a_move_that_died_before_mlflow_s_aliases_followed_is_made_good(tmp_path, monkeypatch):
    registry = open_model_registry(Settings(home=tmp_path))
    one, two = (register(registry, model(tmp_path / n, n)).version for n in "ab")
    go(registry, one, S.VALIDATED, S.LIVE)
    go(registry, two, S.VALIDATED)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowModelRegistry, "_follow", lambda *_: exec("raise SystemExit"))
        with pytest.raises(SystemExit):
            registry.record(step(registry, two, S.LIVE))
    again = open_model_registry(Settings(home=tmp_path))
    assert alias(again, Alias.CHAMPION) == two, "what is recorded counts"
    client = mlflow_client(mlflow_uri(Settings(home=tmp_path)))

    def shown():
        return int(client.get_model_version_by_alias("quorum-risk_manager", "champion").version)

    assert shown() == one
    go(again, register(again, model(tmp_path / "c", "c")).version, S.VALIDATED)
    assert shown() == two
    go(again, two, S.ROLLED_BACK)
    assert shown() == one
    assert client.get_model_version("quorum-risk_manager", str(two)).tags["status"] == "ROLLED_BACK"


def test_an_altered_history_is_found(tmp_path):
    registry = open_model_registry(Settings(home=tmp_path))
    version = register(registry, model(tmp_path / "a", "a")).version
    go(registry, version, S.VALIDATED, S.LIVE)
    client = mlflow_client(mlflow_uri(Settings(home=tmp_path)))
    kept = client.get_registered_model("quorum-risk_manager").tags["move.000001"]
    client.set_registered_model_tag(
        "quorum-risk_manager", "move.000001", kept.replace('"r"', '"another"')
    )
    with pytest.raises(IllegalMove, match="does not follow"):
        registry.version(AGENT, Alias.CHAMPION)


def test_importing_mlflow_here_forbids_pickles_and_telemetry(tmp_path):
    open_model_registry(Settings(home=tmp_path))
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
