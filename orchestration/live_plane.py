"""The processes of the live plane: how each is started, and when it is ready."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from adapters.processes import ProcessSpec, Supervisor
from adapters.processes.probe import ask
from adapters.processes.run_file import find_process
from domain.settings import Settings, as_environment
from domain.voting import AgentId

CONSENSUS, GATEWAY = "consensus", "gateway"
AGENTS = {agent: f"agent.{agent}" for agent in AgentId}
PROCESSES = (CONSENSUS, GATEWAY, *AGENTS.values())

_READY_SECONDS = 120.0


def process_specs(settings: Settings) -> list[ProcessSpec]:
    """Return consensus, gateway and the four agents, with connected settings."""
    modules = {
        CONSENSUS: ("consensus.service",),
        GATEWAY: ("trading.service",),
        **{name: ("serving", agent.value) for agent, name in AGENTS.items()},
    }
    environment = as_environment(settings)
    return [
        ProcessSpec(
            name=name,
            command=(sys.executable, "-m", *arguments),
            environment=environment,
            readiness=lambda name=name: is_ready(settings, name),
        )
        for name, arguments in modules.items()
    ]


def is_ready(settings: Settings, process: str) -> bool:
    """Whether a process has announced itself and answers ``/readyz`` with 200."""
    run_file = find_process(settings.home, process)
    answer = ask(f"{run_file.url}/readyz") if run_file is not None else None
    return answer is not None and answer.is_success


@contextmanager
def running_live_plane(settings: Settings) -> Generator[Supervisor]:
    """Start the live plane and wait until it is ready; stop it at the end of the block."""
    supervisor = Supervisor(settings.home)
    for spec in process_specs(settings):
        supervisor.add(spec)
    try:
        supervisor.start()
        supervisor.wait_until_ready(_READY_SECONDS)
        yield supervisor
    finally:
        supervisor.stop()
