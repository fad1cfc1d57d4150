"""What every agent's BentoML service is: votes over HTTP from the agent that also reads the bus.

The endpoints read and write the same canonical JSON as the bus. Adaptive batching stays off (it
answers 503 under load and gains nothing for small networks), and services never depend on each
other through BentoML (that drops requests and unpickles bodies).
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import bentoml
import msgspec
import structlog
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from domain.errors import InvalidValue, MessageRefused, QuorumError
from domain.messages import decode, encode
from domain.ports.metrics import Metrics
from domain.settings import load_settings
from domain.voting import AgentId, TradingProposal
from serving.agent_runtime import AgentRuntime, NotReady, NotServed
from serving.http_gate import HttpGate, refusal

MAXIMUM_BATCH = 256

#: Arguments of `bentoml.service`: one worker, bounded queue, our own log lines and metrics.
OPTIONS: dict[str, Any] = {
    "workers": 1,
    "traffic": {"timeout": 30, "max_concurrency": 64},
    "metrics": {"enabled": False},
    "logging": {"access": {"enabled": False}},
    "http": {"host": "127.0.0.1"},
}

_log = structlog.get_logger(__name__)
_batch = msgspec.json.Decoder(list[msgspec.Raw])


class Body(bentoml.IODescriptor):
    """A request's body as it came; decoding it is ours, so that refusals are typed."""

    __root_input__: ClassVar[bool] = True

    data: bytes = b""
    version: int | None = None

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> "Body":
        """Take the body; `serde` (the framework's decoder) is not asked."""
        del serde
        return cls(data=await request.body(), version=_version_asked(request))


class Answer(bentoml.IODescriptor):
    """A JSON answer; endpoints return a finished response."""


class AgentService:
    """One agent behind HTTP; subclasses name it and are decorated with `bentoml.service`."""

    agent_id: ClassVar[AgentId]
    runtime: ClassVar[AgentRuntime]

    def __init__(self) -> None:
        type(self).runtime = self.build()

    @classmethod
    def build(cls) -> AgentRuntime:
        """Return the runtime that this process serves."""
        return AgentRuntime(cls.agent_id, load_settings())

    @bentoml.on_startup
    async def start(self) -> None:
        """Start loading the model and following the bus; requests are answered meanwhile."""
        self.runtime.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """End what `start` began."""
        await self.runtime.stop()

    @bentoml.api(route="/vote", input_spec=Body, output_spec=Answer)
    async def vote(self, body: Body, /) -> Response:
        """Return the vote on the trading proposal in the body; ``?version=N`` says whose."""
        return await self._answered(lambda: self._vote(body))

    @bentoml.api(route="/vote_batch", input_spec=Body, output_spec=Answer)
    async def vote_batch(self, body: Body, /) -> Response:
        """Return the agent's votes on a list of trading proposals, in their order."""
        return await self._answered(lambda: self._vote_batch(body))

    @bentoml.api(route="/explain", input_spec=Body, output_spec=Answer)
    async def explain(self, body: Body, /) -> Response:
        """Return the vote on the proposal in the body with the inputs that moved it most."""
        return await self._answered(lambda: self._explain(body.data))

    @bentoml.api(route="/version", input_spec=Body, output_spec=Answer)
    async def version(self, _body: Body, /) -> Response:
        """Return which model version votes, with the hash of its weights."""
        return await self._answered(self._version)

    async def _vote(self, body: Body) -> bytes:
        return encode(await self.runtime.vote(_proposal(body.data), body.version))

    async def _vote_batch(self, body: Body) -> bytes:
        proposals = _proposals(body.data)
        cast = [await self.runtime.vote(proposal, body.version) for proposal in proposals]
        return msgspec.json.encode([msgspec.Raw(encode(vote)) for vote in cast])

    async def _explain(self, data: bytes) -> bytes:
        proposal = _proposal(data)
        cast, drivers = await self.runtime.explain(proposal)
        return msgspec.json.encode({"vote": msgspec.Raw(encode(cast)), **drivers})

    async def _version(self) -> bytes:
        return msgspec.json.encode(self.runtime.version())

    async def _answered(self, answer: Callable[[], Awaitable[bytes]]) -> Response:
        try:
            return Response(await answer(), media_type="application/json")
        except NotReady as problem:
            return refusal(503, problem)
        except NotServed as problem:
            return refusal(404, problem)
        except (MessageRefused, InvalidValue) as problem:
            return refusal(400, problem)
        except QuorumError as problem:
            _log.exception("request failed")
            return refusal(500, problem)


def guarded(service: bentoml.Service[Any]) -> bentoml.Service[Any]:
    """Put the gate in front of a service (as a decorator above `bentoml.service`)."""
    owner: type[AgentService] = service.inner

    def health() -> ASGIApp:
        return owner.runtime.health

    def metrics() -> Metrics:
        return owner.runtime.metrics

    def token() -> SecretStr:
        return owner.runtime.token

    service.add_asgi_middleware(
        HttpGate,  # pyright: ignore[reportArgumentType] - it declares a factory of applications
        routes=[method.route for method in service.apis.values()],
        health=health,
        metrics=metrics,
        token=token,
    )
    return service


def _version_asked(request: Request) -> int | None:
    asked = request.query_params.get("version", "")
    if not asked:
        return None
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0


def _proposal(data: bytes) -> TradingProposal:
    message = decode(data)
    if not isinstance(message, TradingProposal):
        raise MessageRefused(
            f"The body is a {type(message).__name__}, not a TradingProposal.",
            next_step="Send a trading proposal.",
        )
    return message


def _proposals(data: bytes) -> list[TradingProposal]:
    try:
        items = _batch.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise MessageRefused(
            f"The body is not a list of messages: {problem}.",
            next_step="Send a JSON list of trading proposals.",
        ) from None
    if len(items) > MAXIMUM_BATCH:
        raise MessageRefused(
            f"{len(items)} proposals at once, {MAXIMUM_BATCH} are allowed.",
            next_step="Send them in several requests.",
        )
    return [_proposal(bytes(item)) for item in items]
