"""Run one agent's service: ``python -m serving market_analyst [--host H] [--port P]``.

It announces itself in ``<home>/run/agent.<agent>.json`` (pid and bound port) and ends cleanly on
SIGINT and SIGTERM. Everything else comes from the settings (``QUORUM_*``).
"""

import argparse
import asyncio
import gc
import os
import sys
from importlib import import_module

from adapters.bearer import demand_token
from adapters.http_server import bind, http_server
from adapters.processes.run_file import announced, stop_requested
from adapters.processes.software import software_of
from adapters.run_process import run_process
from domain.settings import Settings
from domain.voting import AgentId

SERVICES = {
    AgentId.MARKET_ANALYST: "MarketAnalyst",
    AgentId.RISK_MANAGER: "RiskManager",
    AgentId.PORTFOLIO_OPTIMIZER: "PortfolioOptimizer",
    AgentId.EXECUTION: "Execution",
}


def process_name(agent: AgentId) -> str:
    """Return the name under which an agent's process announces itself and logs."""
    return f"agent.{agent}"


def port_of(agent: AgentId, settings: Settings) -> int:
    """Return the port that the settings give an agent; 0 for a free one."""
    first = settings.serving.first_port
    return first + list(AgentId).index(agent) if first else 0


async def serve(agent: AgentId, settings: Settings, host: str, port: int) -> None:
    """Serve an agent until the process is asked to stop."""
    service = getattr(import_module(f"serving.{agent}"), SERVICES[agent])
    with stop_requested() as stop:
        async with http_server(service.to_asgi(), bind(host, port), lifespan="on") as bound:
            software = software_of(settings)
            with announced(settings.home, process_name(agent), host, bound, software):
                await stop.wait()


def keep_small() -> None:
    """One thread for arithmetic, and no pandas; call it before either is imported.

    TA-Lib imports pandas where it can, 70 MB, to accept series that no agent passes. Imports make
    half a million objects and hardly any garbage, so the collector is to look less often.
    """
    gc.set_threshold(50_000)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, "1")
    sys.modules["pandas"] = None  # type: ignore[assignment] - imports of it fail from now on


def main() -> int:
    """Parse the command line and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    parser.add_argument("agent", type=AgentId, choices=list(AgentId), metavar="agent")
    parser.add_argument("--host", help="address to listen on; default: the setting")
    parser.add_argument("--port", type=int, help="port; 0 takes a free one; default: the setting")
    arguments = parser.parse_args()
    keep_small()
    agent: AgentId = arguments.agent

    def run(settings: Settings) -> None:
        host = arguments.host or settings.serving.host
        demand_token(host, settings.serving.token)
        port = port_of(agent, settings) if arguments.port is None else arguments.port
        asyncio.run(serve(agent, settings, host, port))

    return run_process(process_name(agent), run)


if __name__ == "__main__":
    sys.exit(main())
