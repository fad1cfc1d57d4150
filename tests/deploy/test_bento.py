"""A Bento of an agent is built, moved elsewhere, and serves there with nothing but itself."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import grimp
import httpx
import pytest
import yaml

from adapters.bus import open_bus
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from adapters.time_series import open_time_series
from agents.learning.training import classic
from agents.model_files import save
from domain.messages import encode
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId
from tests.serving.test_main import END, bar, history, proposal

ROOT = Path(__file__).parents[2]
BENTO = ROOT / "deploy" / "bento"
PROGRAMS = Path(sys.executable).parent
AGENT = AgentId.RISK_MANAGER
ROOMS = ("domain", "adapters", "agents", "consensus", "evaluation", "serving")
#: Import name → distribution, where they differ by more than - and _.
DISTRIBUTIONS = {"talib": "ta-lib"}
JSON = {"content-type": "application/json"}
PICKLE = "application/vnd.bentoml+pickle"


@pytest.fixture(scope="module")
def bento(tmp_path_factory):
    """The Bento of one agent, unpacked where nothing else is."""
    home, elsewhere = tmp_path_factory.mktemp("bentoml"), tmp_path_factory.mktemp("elsewhere")
    built = subprocess.run(
        [PROGRAMS / "bentoml", "build", "--bentofile", "deploy/bento/bentofile.yaml",
         "--arg", f"agent={AGENT}", "--version", "1", "--output", "tag", "."],
        cwd=ROOT, env=_environment(BENTOML_HOME=home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    assert built.stdout.strip() == f"__tag__:{AGENT}:1"
    moved = elsewhere / "bento"
    shutil.move(home / "bentos" / AGENT / "1", moved)
    return moved


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A state folder with history and version 1 of the agent."""
    home = tmp_path_factory.mktemp("home")
    settings, bars = Settings(home=home), history()
    open_time_series(settings).write(Table.BARS, bars)
    folder = home / "models" / AGENT / "1"
    save(folder, classic(AGENT, bars, until=END, seed=7, settings=settings.trading))
    version = ModelVersion(
        model_id=f"quorum-{AGENT}",
        version=1,
        agent_type=AGENT,
        performance_metrics={},
        deployment_status=DeploymentStatus.LIVE,
        created_at=END,
        model_artifacts=verified(folder, AGENT),
    )
    DeployedModels.of(settings).point(Alias.CHAMPION, ModelKeys.of(settings).sign(version))
    return home


def _environment(**more):
    """Return this environment without what would lead to the checkout."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "BENTOML_DO_NOT_TRACK": "True", **{n: str(v) for n, v in more.items()}}


def _locked(text):
    return {name.lower() for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)}


def test_it_holds_the_rooms_that_a_service_stands_on_and_no_others(bento):
    assert sorted(path.name for path in (bento / "src").iterdir() if path.is_dir()) == sorted(ROOMS)
    assert not list(bento.rglob("__pycache__"))
    assert yaml.safe_load((bento / "bento.yaml").read_text())["args"] == {"agent": AGENT}


def test_its_lock_lists_all_that_the_service_imports_at_the_version_of_this_release(bento):
    graph = grimp.build_graph(*ROOMS, include_external_packages=True)
    services = [module for module in graph.modules if module.split(".")[0] == "serving"]
    reached = {found for module in services for found in graph.find_upstream_modules(module)}
    imported = {name for name in reached if name.split(".")[0] not in {*ROOMS, "tests"}}
    needed = {
        DISTRIBUTIONS.get(name, name).replace("_", "-")
        for name in imported - set(sys.stdlib_module_names)
    }
    lock = (bento / "env/python/requirements.txt").read_text()
    assert {"torch", "bentoml", "redis", "polars"} <= needed <= _locked(lock)
    release = (ROOT / "requirements.lock").read_text() + (ROOT / "pyproject.toml").read_text()
    for pinned in re.findall(r"^[A-Za-z0-9_.-]+==[^ \n\\]+", lock, re.MULTILINE):
        assert pinned in release
    assert not {"dagster", "mlflow", "ccxt"} & _locked(lock)


def test_it_starts_elsewhere_by_itself_gets_ready_and_votes(bento, home, servers):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = _environment(
        BENTOML_HOME=home / "bentoml",
        QUORUM_HOME=home,
        QUORUM_BUS_URL=servers.bus_url,
        QUORUM_CLOCK="event",
        QUORUM_LOG_FORMAT="json",
    )
    asyncio.run(_publish_the_bar(Settings(home=home, bus_url=servers.bus_url)))
    command = [PROGRAMS / "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)]
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        try:
            _wait_until_ready(process, http, home / "log")
            version = http.post("/version", json={}).json()
            vote = http.post("/vote", content=encode(proposal()), headers=JSON).json()
            assert version["agent"] == vote["agent_id"] == AGENT
            assert vote["model_version"] == version["label"]
            assert vote["abstention"] == ""
            pickled = http.post("/vote", content=b"c", headers={"content-type": PICKLE})
            assert pickled.status_code == 415
            assert "quorum_model_info" in http.get("/metrics").text
        finally:
            process.terminate()
        assert process.wait(60) == 0


async def _publish_the_bar(settings):
    bus = open_bus(settings)
    await bus.publish(Stream.MARKET, 0, bar())
    await bus.close()


def _wait_until_ready(process, http, log):
    deadline, said = time.monotonic() + 120, ""
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            answer = http.get("/readyz")
        except httpx.TransportError:
            said = "It does not listen."
        else:
            if answer.status_code == 200:
                return
            said = answer.text
        time.sleep(0.25)
    raise AssertionError(said + log.read_text())


def test_the_recipe_of_its_image_has_no_findings_and_takes_its_lock():
    recipe = BENTO / "Dockerfile"
    done = subprocess.run(
        [PROGRAMS / "hadolint", "--failure-threshold", "info", recipe],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "--requirement requirements.txt" in recipe.read_text()
