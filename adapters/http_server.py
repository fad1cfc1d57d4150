"""An HTTP server inside a running event loop, with typed errors for what can go wrong."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from domain.errors import EnvironmentProblem

#: Seconds that open requests have to finish when the server stops.
_GRACE_SECONDS = 5
_HIGHEST_PORT = 65_535


class _Server(uvicorn.Server):
    """Uvicorn, leaving signals to the process and telling when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn's way to say that the application failed to start
            self.should_exit = True
        finally:
            self.up.set()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises
    ------
    EnvironmentProblem
        If the port is taken or the address is not this machine's.
    """
    if not 0 <= port <= _HIGHEST_PORT:
        raise _cannot_listen(host, port, "no such port")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as problem:
        raise _cannot_listen(host, port, str(problem.strerror).split(" (")[0]) from None
    # asyncio sets it only on sockets that name their protocol, which `create_server` doesn't;
    # without it every answer waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _cannot_listen(host: str, port: int, why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"Can't listen on {host}:{port}: {why}.",
        next_step="End what uses the port, or choose another (0 takes a free one).",
    )


@asynccontextmanager
async def http_server(
    app: ASGIApp, listener: socket.socket, *, lifespan: Literal["on", "off"] = "off"
) -> AsyncIterator[int]:
    """Serve `app` on a bound socket for as long as the block lasts; yields the port.

    Open requests are finished before the block is left. Signals stay the process's own business
    (`adapters.processes.run_file.stop_requested`).

    Raises
    ------
    EnvironmentProblem
        If the application fails to start (its `lifespan`).
    """
    port: int = listener.getsockname()[1]
    server = _Server(
        uvicorn.Config(
            app,
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    running = asyncio.create_task(server.serve([listener]), name=f"http:{port}")
    try:
        await server.up.wait()
        if not server.started:
            raise EnvironmentProblem(
                f"The application on port {port} did not start.",
                next_step="Its log says why; mend that and start it again.",
            )
        yield port
    finally:
        server.should_exit = True
        await running
        listener.close()
