"""The platform in the foreground: databases, live plane, MLflow and Dagster, supervised."""

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.markup import escape

from adapters.bearer import demand_token
from adapters.embedded import EmbeddedServers
from adapters.ledger import migrate
from adapters.model_registry.deployed import DeployedModels
from adapters.processes import ProcessSpec, ProcessState, ProcessStatus, Supervisor, find_child
from adapters.processes.identity import ProcessIdentity
from adapters.processes.probe import ask
from adapters.processes.run_file import find_process
from adapters.profile import acting_as, connected
from domain.errors import EnvironmentProblem
from domain.producers import Producer
from domain.settings import Profile, Settings, as_environment
from domain.voting import AgentId
from orchestration import live_plane
from orchestration.pipeline import dagster_instance
from orchestration.ports import demand_free, platform_ports
from orchestration.state_folder import give_to_platform

_WATCH_SECONDS = 1.0
_STOP_SECONDS = 60.0


class ProcessReport(NamedTuple):
    """How one process of the platform does.

    Parameters
    ----------
    problems
        Why it is not ready.
    details
        What else it tells, such as how far the projections are behind.
    """

    name: str
    state: str
    pid: int
    url: str
    problems: Sequence[str]
    details: Mapping[str, object] = {}


def web_pages(settings: Settings) -> dict[str, str]:
    """Return process → address of what has a page for a person."""
    host = settings.serving.host
    return {
        "dagster": f"http://{host}:{settings.platform.dagster_port}",
        "mlflow": f"http://{host}:{settings.platform.mlflow_port}",
        "review": f"http://{host}:{settings.platform.review_port}",
    }


def batch_plane(settings: Settings) -> list[ProcessSpec]:
    """Return Dagster's web page and daemon, MLflow and the review desk, with connected settings."""
    host, pages = settings.serving.host, web_pages(settings)
    environment = {
        **as_environment(settings),
        "PYTHONSAFEPATH": "1",  # no file of the folder it is started in stands for a library
        "DAGSTER_HOME": str(settings.home / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    python = (sys.executable, "-m")
    code = ("-m", "orchestration.definitions")
    return [
        ProcessSpec(
            name="mlflow",
            command=(
                *python,
                "mlflow",
                "server",
                f"--backend-store-uri={settings.mlflow_tracking_uri}",
                f"--default-artifact-root={settings.home / 'mlflow' / 'artifacts'}",
                f"--host={host}",
                f"--port={settings.platform.mlflow_port}",
                "--workers=1",
            ),
            environment=environment,
            readiness=f"{pages['mlflow']}/health",
        ),
        ProcessSpec(
            name="dagster",
            command=(
                *python,
                "dagster_webserver",
                *code,
                f"--host={host}",
                f"--port={settings.platform.dagster_port}",
            ),
            environment=environment,
            readiness=f"{pages['dagster']}/server_info",
        ),
        ProcessSpec(
            name="dagster-daemon",
            command=(*python, "dagster._daemon", "run", *code),
            environment=environment,
        ),
        ProcessSpec(
            name="review",
            command=(*python, "orchestration.reviews.service"),
            environment=as_environment(acting_as(settings, Producer.OPERATOR)),
            readiness=f"{pages['review']}/readyz",
        ),
    ]


def run_platform(settings: Settings, console: Console) -> None:
    """Run until SIGINT or SIGTERM; what dies is started again.

    Raises
    ------
    ConfigurationError
        If agents are to listen off loopback without a token.
    EnvironmentProblem
        If a part can't be started, or another platform runs in this state folder.
    """
    demand_token(settings.serving.host, settings.serving.token)
    if _running_platform(settings) is not None:
        raise EnvironmentProblem(
            f"A platform runs in {settings.home} already.",
            kept="It goes on undisturbed.",
            next_step="Look at it by `quorum status`, stop it by `quorum down`, or set QUORUM_HOME "
            "to another folder.",
        )
    demand_free(settings.serving.host, platform_ports(settings))
    for number in (signal.SIGINT, signal.SIGTERM):  # a script's background job ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    if give_to_platform(settings.home):
        console.print(
            f"  {settings.home} was the demo's and is this platform's from now on; the next demo "
            "needs a folder of its own.",
            soft_wrap=True,
        )
    with ExitStack() as held:
        servers = _embedded_servers(settings)
        if servers is not None:
            held.enter_context(servers)
        ready = held.enter_context(connected(settings))
        migrate(ready.ledger_url.get_secret_value())
        with dagster_instance(ready):
            pass
        supervisor = Supervisor(ready.home)
        held.callback(supervisor.stop)
        for spec in (*live_plane.process_specs(ready), *batch_plane(ready)):
            supervisor.add(spec)
        supervisor.start()
        own = _own_record(ready.home)
        own.parent.mkdir(exist_ok=True)
        ProcessIdentity.own().write(own)
        held.callback(own.unlink, missing_ok=True)
        _tell_addresses(ready, console)
        _watch(supervisor, servers, console)


def _embedded_servers(settings: Settings) -> EmbeddedServers | None:
    complete = settings.bus_url and settings.ledger_url.get_secret_value()
    if settings.profile is not Profile.EMBEDDED or complete:
        return None
    return EmbeddedServers(settings.home)


def _running_platform(settings: Settings) -> ProcessIdentity | None:
    identity = ProcessIdentity.read(_own_record(settings.home))
    return identity if identity is not None and identity.alive() else None


def _own_record(home: Path) -> Path:
    return home / "run" / "platform.identity"


def _tell_addresses(settings: Settings, console: Console) -> None:
    console.print("[bold]Quorum is starting.[/bold] Ctrl-C stops it; all state is kept.")
    for name, url in web_pages(settings).items():
        console.print(f"  {name:<12} {url}")
    if not any(DeployedModels.of(settings).current(agent) for agent in AgentId):
        console.print(
            f"  {'models':<12} none yet: `quorum train` makes them, agents then serve them"
        )
    console.print(f"  {'state':<12} {settings.home}", soft_wrap=True)
    console.print(f"  {'logs':<12} {settings.home / 'logs'}", soft_wrap=True)


def _watch(supervisor: Supervisor, servers: EmbeddedServers | None, console: Console) -> None:
    """Tell every change of state, and keep the databases up; ends by an interrupt."""
    known: dict[str, ProcessState] = {}
    try:
        while True:
            for process in supervisor.status():
                if known.get(process.name) is not process.state:
                    known[process.name] = process.state
                    console.print(_sentence(process))
            if servers is not None:
                _keep_up(servers, console)
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        console.print("Stopping; all state is kept.")


def _keep_up(servers: EmbeddedServers, console: Console) -> None:
    """Start again what died; what can't be started yet is tried again at the next look."""
    try:
        servers.ensure()
    except EnvironmentProblem as problem:
        console.print(f"  [red]{'databases':<9}[/red] {escape(str(problem))}", soft_wrap=True)


def _sentence(process: ProcessStatus) -> str:
    colour = {"ready": "green", "failed": "red", "pausing": "yellow"}.get(process.state, "dim")
    again = f" (started again {process.restarts} times)" if process.restarts else ""
    return f"  [{colour}]{process.state:<9}[/{colour}] {process.name}{again}"


def platform_status(settings: Settings) -> list[ProcessReport]:
    """Return how every process does, asked of the processes themselves."""
    found = [_live_report(settings, name) for name in live_plane.PROCESSES]
    return [*found, *(_batch_report(settings, spec) for spec in batch_plane(settings))]


def _batch_report(settings: Settings, spec: ProcessSpec) -> ProcessReport:
    """Look whether it is ours before asking: another platform's may answer on that port."""
    url = web_pages(settings).get(spec.name, "")
    identity = find_child(settings.home, spec.name)
    if identity is None:
        return ProcessReport(spec.name, "stopped", 0, "", ())
    if isinstance(spec.readiness, str) and ask(spec.readiness) is None:
        return ProcessReport(spec.name, "silent", identity.pid, url, ("no answer",))
    return ProcessReport(spec.name, "ready", identity.pid, url, ())


def _live_report(settings: Settings, name: str) -> ProcessReport:
    run_file = find_process(settings.home, name)
    if run_file is None:
        return ProcessReport(name, "stopped", 0, "", ())
    answer = ask(f"{run_file.url}/readyz")
    if answer is None:
        return ProcessReport(name, "silent", run_file.pid, run_file.url, ("no answer",))
    details = msgspec.json.decode(answer.content, type=dict[str, Any])
    problems = details.pop("problems", [])
    details.pop("ready", None)
    state = "ready" if answer.is_success else "not ready"
    return ProcessReport(name, state, run_file.pid, run_file.url, problems, details)


def stop_platform(settings: Settings) -> bool:
    """Stop the platform that runs in the state folder; returns whether one did.

    Raises
    ------
    EnvironmentProblem
        If it does not end in time.
    """
    identity = _running_platform(settings)
    if identity is None:
        return False
    identity.signal(signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while identity.alive():
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"The platform (pid {identity.pid}) did not end within {_STOP_SECONDS:.0f} s.",
                kept="Everything committed is kept.",
                next_step=f"End it by hand: kill -9 {identity.pid}. The next start recovers.",
            )
        time.sleep(0.1)
    return True
