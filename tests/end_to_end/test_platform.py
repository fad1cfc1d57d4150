"""`quorum up` in the state folder of a finished demo: ready, supervised, looked at, stopped."""

import json
import socket
from contextlib import ExitStack, closing

import pytest

from domain.settings import PlatformSettings
from orchestration.live_plane import PROCESSES
from orchestration.platform import platform_status
from tests.end_to_end.processes import commands, process_of, processes_of, quorum, started, until

pytestmark = pytest.mark.timeout(600)

AGENT = "agent.risk_manager"
GROUPS = ("ingestion", "features", "training", "validation", "registration", "promotion")


@pytest.fixture(scope="module")
def ports():
    """Free ports: others may have the usual ones."""
    names = ("dagster_port", "mlflow_port", "review_port")
    with ExitStack() as held:
        free = [held.enter_context(closing(socket.socket())) for _ in names]
        for each in free:
            each.bind(("127.0.0.1", 0))
        return {n: each.getsockname()[1] for n, each in zip(names, free, strict=True)}


@pytest.fixture(scope="module")
def variables(ports):
    return {f"QUORUM_PLATFORM__{name.upper()}": str(port) for name, port in ports.items()}


@pytest.fixture(scope="module")
def settings(demo, ports):
    return demo.settings.model_copy(update={"platform": PlatformSettings(**ports)})


@pytest.fixture(scope="module")
def platform(demo, variables, settings):
    """The third of the next commands that the demo printed, as printed."""
    command = f"exec env {demo.next_commands[2]}"
    with started(demo.home, ["bash", "-c", command], **variables) as process:
        try:
            until(lambda: not unready(settings), "a platform that is ready", process)
        except AssertionError as problem:
            problem.add_note(str(unready(settings)))
            raise
        yield process


def unready(settings):
    return [process for process in platform_status(settings) if process.state != "ready"]


def reported(demo, variables):
    """Return what `quorum status` tells: name → process, and its exit code."""
    run = quorum(demo.home, "status", "--json", **variables)
    return {process["name"]: process for process in json.loads(run.stdout)}, run.returncode


def test_the_folder_is_no_demo_s_any_more(platform, demo):
    run = quorum(demo.home, "demo", "--days", "5")
    assert run.returncode == 2
    assert "that the demo did not make" in " ".join(run.stderr.split())
    assert (demo.home / "reports").is_dir()


def test_status_tells_that_all_is_ready(platform, demo, variables):
    found, code = reported(demo, variables)
    assert (code, {p["state"] for p in found.values()}) == (0, {"ready"})
    assert set(found) >= {*PROCESSES, "dagster", "mlflow", "review"}


def test_an_agent_that_is_killed_is_started_again(platform, demo, variables, settings):
    before, _ = reported(demo, variables)
    process_of(before[AGENT]["pid"]).kill()

    def another():
        (found,) = (p for p in platform_status(settings) if p.name == AGENT)
        return found.state == "ready" and found.pid != before[AGENT]["pid"]

    until(another, "another process of the agent", platform)
    after, code = reported(demo, variables)
    assert code == 0
    assert {n: p["pid"] for n, p in after.items() if n != AGENT} == {
        n: p["pid"] for n, p in before.items() if n != AGENT
    }


def test_the_asset_graph_in_a_browser(platform, settings, browser):
    own = f"http://{settings.serving.host}:{settings.platform.dagster_port}"
    faults, elsewhere = [], []

    def stay(route):
        if route.request.url.startswith((own, "data:", "blob:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.route("**/*", stay)
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{own}/asset-groups")
    for group in GROUPS:
        page.get_by_text(group, exact=True).first.wait_for()
    page.close()
    assert elsewhere == []
    assert faults == []


def test_down_stops_everything(platform, demo, variables):
    run = quorum(demo.home, "down", **variables)
    assert (run.returncode, platform.wait()) == (0, 0), run.stdout + run.stderr
    assert commands(processes_of(demo.home)) == []
    found, code = reported(demo, variables)
    assert (code, {p["state"] for p in found.values()}) == (1, {"stopped"})
