"""Errors over HTTP: problem documents (RFC 9457) that say what to do next."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import (
    Conflict,
    EnvironmentProblem,
    InvalidValue,
    MessageRefused,
    NotAuthenticated,
    NotOnRecord,
    NotPermitted,
    QuorumError,
    RecordUnavailable,
)
from domain.messages import Value

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger(__name__)

#: What an error means over HTTP; the first that fits. Any other is our own fault: 500.
_STATUS: tuple[tuple[type[QuorumError], HTTPStatus], ...] = (
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotOnRecord, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (InvalidValue, HTTPStatus.UNPROCESSABLE_ENTITY),
    (MessageRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (EnvironmentProblem, HTTPStatus.SERVICE_UNAVAILABLE),
    (RecordUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="quorum reviews"'},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
}


class Problem(Value, frozen=True, kw_only=True):
    """What went wrong.

    Parameters
    ----------
    title, status
        The kind of error, and its HTTP status.
    detail
        What happened.
    kept
        What was kept safe in spite of it.
    next_step
        What to do now.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    kept: str
    next_step: str


async def told(_: Request, problem: Exception) -> Response:
    """Answer with an error that Quorum raises on purpose."""
    assert isinstance(problem, QuorumError)  # noqa: S101 - registered for no other
    fitting = (status for kind, status in _STATUS if isinstance(problem, kind))
    return _response(next(fitting, HTTPStatus.INTERNAL_SERVER_ERROR), problem)


async def record_away(request: Request, problem: Exception) -> Response:
    """Answer that the record can't be reached."""
    _log.warning("the record is away", error=str(problem).splitlines()[0])
    unavailable = RecordUnavailable("The record can't be reached.", next_step="Ask again soon.")
    return await told(request, unavailable)


async def failed(request: Request, _: Exception) -> Response:
    """Answer to a fault of our own; the server logs its traceback."""
    fault = QuorumError(
        "A fault in Quorum.",
        kept="Everything committed is kept.",
        next_step="Report what the log of this process shows.",
    )
    return await told(request, fault)


async def refused(_: Request, problem: Exception) -> Response:
    """Answer to a request that fits no operation (unknown path, wrong method …)."""
    assert isinstance(problem, HTTPException)  # noqa: S101 - registered for no other
    status = HTTPStatus(problem.status_code)
    told = QuorumError(
        problem.detail if problem.detail != status.phrase else f"{status.phrase}.",
        next_step="/openapi.json lists what can be asked, and how.",
    )
    return _response(status, told, title=status.phrase, headers=problem.headers)


def _response(
    status: HTTPStatus,
    problem: QuorumError,
    *,
    title: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    document = Problem(
        title=title or type(problem).__name__,
        status=status.value,
        detail=problem.what,
        kept=problem.kept,
        next_step=problem.next_step,
    )
    return Response(
        msgspec.json.encode(document),
        status_code=status,
        headers={**_HEADERS.get(status, {}), **(headers or {})},
        media_type=MEDIA_TYPE,
    )
