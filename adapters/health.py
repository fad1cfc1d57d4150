"""What supervisors, Kubernetes and Prometheus ask every process: alive, ready, how much.

``/livez`` answers while the event loop turns; ``/readyz`` is 200 with no problems and 503 with
the list of them; ``/metrics`` is Prometheus' text format.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from adapters.http_server import bind, http_server
from adapters.metrics import CONTENT_TYPE, PrometheusMetrics
from adapters.processes.run_file import RunFile, announced

PATHS = frozenset({"/livez", "/readyz", "/metrics"})


def health_app(
    metrics: PrometheusMetrics,
    problems: Callable[[], Sequence[str]],
    details: Callable[[], Mapping[str, object]] = dict,
) -> Starlette:
    """Return an application that answers `PATHS`.

    Parameters
    ----------
    metrics
        What ``/metrics`` shows.
    problems
        Why the process is not ready, in a reader's words; empty when it is.
    details
        What else ``/readyz`` tells (which model is served, from which position it reads).
    """

    async def livez(_: Request) -> Response:
        return _json(200, {"alive": True})

    async def readyz(_: Request) -> Response:
        found = list(problems())
        answer = {"ready": not found, "problems": found, **details()}
        return _json(503 if found else 200, answer)

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", exposition),
        ]
    )


@asynccontextmanager
async def serve_health(
    app: ASGIApp, host: str, port: int, *, home: Path, process: str, software: str = ""
) -> AsyncIterator[RunFile]:
    """Serve `app` inside the running loop for as long as the block lasts.

    The bound port (0 takes a free one) is in the yielded run file, and for other processes in
    ``<home>/run/<process>.json``.

    Raises
    ------
    EnvironmentProblem
        If the port is taken or the state folder is not writable.
    """
    async with http_server(app, bind(host, port)) as bound:
        with announced(home, process, host, bound, software) as run_file:
            yield run_file


def _json(status: int, answer: Mapping[str, object]) -> Response:
    return Response(msgspec.json.encode(answer), status_code=status, media_type="application/json")
