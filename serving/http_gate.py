"""What every request to an agent's service passes first.

Only known paths are answered (the framework's own index page loads a third party's script), only
JSON is read (its pickle media type runs code on arrival), and only up to a limit of bytes. What
does not stay on loopback has to bear the token; without one set, nothing of it passes. Health and
metrics are answered here, to everybody, so they keep answering when every voting slot is taken.
"""

import time
from collections.abc import Callable, Iterable

import msgspec
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.bearer import bearer_token, is_token, within_loopback
from adapters.health import PATHS as HEALTH
from domain.errors import MessageRefused, NotAuthenticated, QuorumError
from domain.metrics import Metric
from domain.ports.metrics import Metrics

#: Bytes of one request; a batch of proposals fits.
MAXIMUM_BODY_BYTES = 8_000_000


def refusal(status: int, problem: QuorumError) -> Response:
    """Return `problem` as JSON: its kind, what happened, what was kept, what to do next."""
    return Response(
        msgspec.json.encode(
            {
                "error": type(problem).__name__,
                "what": problem.what,
                "kept": problem.kept,
                "next_step": problem.next_step,
            }
        ),
        status_code=status,
        media_type="application/json",
    )


class HttpGate:
    """ASGI middleware in front of an agent's service.

    Parameters
    ----------
    app
        What answers the requests that pass.
    routes
        Paths that pass; all others but health's are unknown.
    health
        Returns the application that answers health's paths.
    metrics
        Returns where requests are counted.
    token
        Returns the token that requests off loopback must bear.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Iterable[str],
        health: Callable[[], ASGIApp],
        metrics: Callable[[], Metrics],
        token: Callable[[], SecretStr],
    ) -> None:
        self._app = app
        self._routes = frozenset(routes)
        self._health = health
        self._metrics = metrics
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
        elif scope["path"] in HEALTH:
            await self._health()(scope, receive, send)
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["path"] if scope["path"] in self._routes else "unknown"
        began = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._passed(scope, receive, noting)
        finally:
            metrics = self._metrics()
            metrics.count(Metric.REQUESTS, route=route, status=str(status))
            metrics.observe(Metric.REQUEST_SECONDS, time.perf_counter() - began, route=route)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        refused = self._refused(request)
        if refused is not None:
            await refused(scope, receive, send)
            return
        body = await _body(request)
        if body is None:
            await _too_large()(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)

    def _refused(self, request: Request) -> Response | None:
        presented = bearer_token(request)
        if not within_loopback(request) and not is_token(presented, self._token()):
            return _unknown_token(presented)
        if request.url.path not in self._routes:
            return refusal(
                404,
                MessageRefused(
                    f"There is nothing at {request.url.path}.",
                    next_step=f"Ask one of {', '.join(sorted(self._routes | HEALTH))}.",
                ),
            )
        for media_type in request.headers.getlist("content-type"):
            if media_type.split(";")[0].strip().lower() != "application/json":
                return refusal(
                    415,
                    MessageRefused(
                        f"Media type {media_type} is not read here.",
                        kept="The body was not looked at.",
                        next_step="Send application/json.",
                    ),
                )
        return None


async def _body(request: Request) -> bytes | None:
    """Return the body, or None as soon as it is longer than the limit."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAXIMUM_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _unknown_token(presented: str) -> Response:
    refused = refusal(
        401,
        NotAuthenticated(
            "This token is not known here." if presented else "No token was given.",
            kept="The body was not looked at.",
            next_step="Give the service's QUORUM_SERVING__TOKEN as `Authorization: Bearer …`.",
        ),
    )
    refused.headers["www-authenticate"] = "Bearer"
    return refused


def _too_large() -> Response:
    return refusal(
        413,
        MessageRefused(
            f"The body is longer than {MAXIMUM_BODY_BYTES} bytes.",
            next_step="Send fewer proposals at once.",
        ),
    )
