"""The processes of the live plane: how each is started, and when it is ready."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from adapters.bearer import demand_token
from adapters.processes import ProcessSpec, Supervisor
from adapters.processes.probe import ask
from adapters.processes.run_file import find_process
from adapters.profile import acting_as
from domain.producers import Producer
from domain.settings import Settings, as_environment
from domain.voting import AgentId
from orchestration.ports import demand_free, live_ports

CONSENSUS, GATEWAY, PROJECTIONS = "consensus", "gateway", "projections"
AGENTS = {agent: f"agent.{agent}" for agent in AgentId}
PRODUCERS = {
    CONSENSUS: Producer.CONSENSUS,
    GATEWAY: Producer.GATEWAY,
    PROJECTIONS: Producer.PROJECTIONS,
    **{name: Producer(agent) for agent, name in AGENTS.items()},
}
PROCESSES = (CONSENSUS, GATEWAY, PROJECTIONS, *AGENTS.values())

_READY_SECONDS = 120.0
#: Process → its distance from the first metrics port.
_METRICS_PORTS = {GATEWAY: 1, PROJECTIONS: 2}


def process_specs(settings: Settings) -> list[ProcessSpec]:
    """Return consensus, gateway, projections and the four agents, with connected settings."""
    modules = {
        CONSENSUS: ("consensus.service",),
        GATEWAY: ("trading.service",),
        PROJECTIONS: ("orchestration.projector",),
        **{name: ("serving", agent.value) for agent, name in AGENTS.items()},
    }
    return [
        ProcessSpec(
            name=name,
            command=(sys.executable, "-m", *arguments),
            environment=as_environment(_own(settings, name)),
            readiness=lambda name=name: is_ready(settings, name),
        )
        for name, arguments in modules.items()
    ]


def _own(settings: Settings, process: str) -> Settings:
    """Return a process's settings: its own user of the bus, its own metrics port."""
    settings = acting_as(settings, PRODUCERS[process])
    place = _METRICS_PORTS.get(process, 0)
    if not place or not settings.metrics_port:
        return settings
    return settings.model_copy(update={"metrics_port": settings.metrics_port + place})


def is_ready(settings: Settings, process: str) -> bool:
    """Whether a process has announced itself and answers ``/readyz`` with 200."""
    run_file = find_process(settings.home, process)
    answer = ask(f"{run_file.url}/readyz") if run_file is not None else None
    return answer is not None and answer.is_success


@contextmanager
def running_live_plane(settings: Settings) -> Generator[Supervisor]:
    """Start the live plane and wait until it is ready; stop it at the end of the block.

    Raises
    ------
    ConfigurationError
        If agents are to listen off loopback without a token.
    EnvironmentProblem
        If a port is taken, or a process does not become ready.
    """
    demand_token(settings.serving.host, settings.serving.token)
    demand_free(settings.serving.host, live_ports(settings))
    supervisor = Supervisor(settings.home)
    for spec in process_specs(settings):
        supervisor.add(spec)
    try:
        supervisor.start()
        supervisor.wait_until_ready(_READY_SECONDS)
        yield supervisor
    finally:
        supervisor.stop()
