"""The ports that the settings ask for, and whether they are free."""

from collections.abc import Mapping

from adapters.http_server import bind
from domain.errors import EnvironmentProblem
from domain.settings import Settings
from domain.voting import AgentId


def live_ports(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return process → setting and port, for the live plane; without those it may choose."""
    ports: dict[str, tuple[str, int]] = {}
    if first := settings.serving.first_port:
        for place, agent in enumerate(AgentId):
            ports[f"agent {agent}"] = ("QUORUM_SERVING__FIRST_PORT", first + place)
    if metrics := settings.metrics_port:
        ports["consensus"] = ("QUORUM_METRICS_PORT", metrics)
        ports["gateway"] = ("QUORUM_METRICS_PORT", metrics + 1)
        ports["projections"] = ("QUORUM_METRICS_PORT", metrics + 2)
    return ports


def platform_ports(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return process → setting and port, for everything that `quorum up` runs."""
    return {
        "Dagster": ("QUORUM_PLATFORM__DAGSTER_PORT", settings.platform.dagster_port),
        "MLflow": ("QUORUM_PLATFORM__MLFLOW_PORT", settings.platform.mlflow_port),
        "the review desk": ("QUORUM_PLATFORM__REVIEW_PORT", settings.platform.review_port),
        **live_ports(settings),
    }


def is_free(host: str, port: int) -> bool:
    """Whether a process could listen there now."""
    try:
        bind(host, port).close()
    except EnvironmentProblem:
        return False
    return True


def demand_free(host: str, ports: Mapping[str, tuple[str, int]]) -> None:
    """Refuse to start where a port is taken.

    Raises
    ------
    EnvironmentProblem
        That names the port, what it is for, and the setting.
    """
    for process, (setting, port) in ports.items():
        if not is_free(host, port):
            raise EnvironmentProblem(
                f"Port {port} on {host}, for {process}, is in use.",
                kept="Nothing was started.",
                next_step=f"End the program that holds it, or set {setting} to another port.",
            )
