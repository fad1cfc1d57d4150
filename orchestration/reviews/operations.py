"""What can be asked of the review desk over HTTP: the routes and their OpenAPI document.

Both are made from one table, so the document describes what runs.
"""

from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestration.reviews.problems import MEDIA_TYPE, Problem

Handler = Callable[[Request], Awaitable[Response]]

_PROBLEMS = {
    401: "Your token is missing or not known.",
    403: "You are known, and may not do this.",
    404: "No such decision is on record, or it was not sent to a person.",
    409: "Another was first, or looks at it just now; it is said who.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "A value can't be taken.",
    503: "The record, the bus or the consensus does not answer; ask again.",
}
_ID = {
    "name": "decision_id",
    "in": "path",
    "required": True,
    "description": "The decision's id, as the queue shows it.",
    "schema": {"type": "string", "format": "uuid"},
}


class Operation(NamedTuple):
    """One method of one path; its handler's docstring says what it does.

    Parameters
    ----------
    body, answer
        Types of the JSON that is taken and given; None: nothing.
    query
        Parameters of the query, in OpenAPI's words.
    problems
        Statuses that it may end with instead.
    """

    method: str
    path: str
    handler: Handler
    answer: Any = None
    body: Any = None
    query: Sequence[dict[str, Any]] = ()
    problems: Sequence[int] = ()


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return what Starlette answers; one route a path, so that a wrong method is told as such."""
    by_path: dict[str, dict[str, Handler]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation.handler
    return [
        Route(path, _by_method(handlers), methods=list(handlers))
        for path, handlers in by_path.items()
    ]


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return answer


def document(operations: Sequence[Operation]) -> bytes:
    """Return the OpenAPI 3.1 document, as JSON."""
    types = [t for o in operations for t in (o.answer, o.body) if t is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, Problem], ref_template="#/components/schemas/{name}"
    )
    known = dict(zip(map(repr, [*types, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _described(operation, known)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Quorum review desk",
                "version": version("quorum"),
                "description": "Decisions that wait for persons, and the persons' answers.",
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _described(operation: Operation, known: dict[str, Any]) -> dict[str, Any]:
    given = {"description": "Done."}
    if operation.answer is not None:
        given |= _content("application/json", known[repr(operation.answer)])
    failed = _content(MEDIA_TYPE, known[repr(Problem)])
    described = {
        "operationId": operation.handler.__name__,
        "summary": operation.handler.__doc__,
        "parameters": [*([_ID] if "{decision_id}" in operation.path else []), *operation.query],
        "responses": {
            "200" if operation.answer is not None else "204": given,
            **{str(s): {"description": _PROBLEMS[s]} | failed for s in operation.problems},
        },
    }
    if operation.body is not None:
        content = _content("application/json", known[repr(operation.body)])
        described["requestBody"] = {"required": True} | content
    return described


def _content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}
