"""The review desk over HTTP; every request but those for health and the document names a person."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec
import structlog
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.bearer import bearer_token
from adapters.persons import Person
from domain.errors import InvalidValue, MessageRefused, QuorumError
from domain.messages import Value
from domain.money import positive
from domain.review import LONGEST_REASON, Claim
from orchestration.reviews.desk import Answer, ReviewDesk
from orchestration.reviews.operations import Operation, document, routes
from orchestration.reviews.page import page_route
from orchestration.reviews.problems import failed, record_away, refused, told
from orchestration.reviews.review import Review

#: Seconds that a request waits for the engine.
PATIENCE_SECONDS = 15.0
_LONGEST_BODY = 16_384
_MOST_REVIEWS = 500

_log = structlog.get_logger(__name__)
_Body = TypeVar("_Body", bound=Value)
_Reason = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=LONGEST_REASON, description="Why; printable, it goes on record."
    ),
]


class Approval(Value, frozen=True, kw_only=True):
    """Why a person approves, and what it costs now where the market shows no price."""

    reason: _Reason
    price: Decimal | None = None


class Rejection(Value, frozen=True, kw_only=True):
    """Why a person rejects."""

    reason: _Reason


class SignedIn(Value, frozen=True, kw_only=True):
    """Whose token it is, and up to which value this person may approve; None: any."""

    name: str
    approval_limit: Decimal | None


class ReviewApi:
    """The operations.

    Parameters
    ----------
    desk
        What answers them.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk

    def operations(self) -> list[Operation]:
        """Return the table that routes and document are made from."""
        one, asked = "/reviews/{decision_id}", (401, 404, 503)
        limit = {
            "name": "limit",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": _MOST_REVIEWS, "default": 50},
        }
        answering = (*asked, 409, 413, 415, 422)
        return [
            Operation(
                "GET",
                "/reviews",
                self.list_reviews,
                answer=list[Review],
                query=(limit,),
                problems=(401, 422, 503),
            ),
            Operation("GET", "/person", self.show_person, answer=SignedIn, problems=(401, 503)),
            Operation("GET", one, self.show_review, answer=Review, problems=asked),
            Operation(
                "PUT", f"{one}/claim", self.claim_review, answer=Claim, problems=(*asked, 409)
            ),
            Operation("DELETE", f"{one}/claim", self.release_review, problems=asked),
            Operation(
                "POST",
                f"{one}/approve",
                self.approve_review,
                answer=Review,
                body=Approval,
                problems=(*answering, 403),
            ),
            Operation(
                "POST",
                f"{one}/reject",
                self.reject_review,
                answer=Review,
                body=Rejection,
                problems=answering,
            ),
        ]

    async def list_reviews(self, request: Request) -> Response:
        """Return the reviews that have not ended, oldest first."""
        self._person(request)
        text = request.query_params.get("limit", "50")
        try:
            limit = msgspec.convert(text, int, strict=False)
        except msgspec.ValidationError:
            limit = 0
        if not 1 <= limit <= _MOST_REVIEWS:
            raise InvalidValue(
                f"limit is {text!r:.20}.", next_step=f"Ask for 1 to {_MOST_REVIEWS}."
            )
        return self._reviews(waiting := await self._desk.waiting(limit=limit), waiting)

    async def show_review(self, request: Request) -> Response:
        """Return all about one review: rationales, risk, price then and now, answers."""
        self._person(request)
        review = await self._desk.find(request.path_params["decision_id"])
        return self._reviews(review, [review])

    async def show_person(self, request: Request) -> Response:
        """Return whose token was given."""
        person = self._person(request)
        return _json(SignedIn(name=person.name, approval_limit=person.approval_limit))

    async def claim_review(self, request: Request) -> Response:
        """Say that you look at it; said again, the claim is renewed."""
        person = self._person(request)
        return _json(await self._desk.claim(request.path_params["decision_id"], person))

    async def release_review(self, request: Request) -> Response:
        """Give up your claim."""
        person = self._person(request)
        await self._desk.release(request.path_params["decision_id"], person)
        return Response(status_code=204)

    async def approve_review(self, request: Request) -> Response:
        """Approve; time and price are checked again."""
        person = self._person(request)
        said = await _body(request, Approval)
        price = None if said.price is None else positive(said.price, "price")
        return await self._answer(request, person, Answer(True, said.reason, price))  # noqa: FBT003

    async def reject_review(self, request: Request) -> Response:
        """Reject."""
        person = self._person(request)
        said = await _body(request, Rejection)
        return await self._answer(request, person, Answer(False, said.reason))  # noqa: FBT003

    async def _answer(self, request: Request, person: Person, answer: Answer) -> Response:
        decision_id = request.path_params["decision_id"]
        review = await self._desk.answer(
            decision_id, person, answer, patience_seconds=PATIENCE_SECONDS
        )
        _log.info(
            "a review was answered",
            decision_id=decision_id,
            actor=person.name,
            approved=answer.approved,
            state=review.state,
        )
        return _json(review)

    def _reviews(self, answer: object, reviews: Sequence[Review]) -> Response:
        """Return an answer with the desk's time, which deadlines are held against."""
        response, now = _json(answer), self._desk.now(reviews)
        if now is not None:
            response.headers["quorum-time"] = now.isoformat()
        return response

    def _person(self, request: Request) -> Person:
        return self._desk.persons.authenticate(bearer_token(request))


def review_app(desk: ReviewDesk, *others: BaseRoute) -> Starlette:
    """Return the application: the operations, their document, the page, and `others` (health)."""
    operations = ReviewApi(desk).operations()
    described = document(operations)

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    return Starlette(
        routes=[*routes(operations), Route("/openapi.json", openapi), page_route(), *others],
        exception_handlers={
            QuorumError: told,
            HTTPException: refused,
            OperationalError: record_away,
            Exception: failed,
        },
    )


async def _body(request: Request, kind: type[_Body]) -> _Body:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "The body is not application/json.")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LONGEST_BODY:
            raise HTTPException(413, f"The body is longer than {_LONGEST_BODY} bytes.")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise MessageRefused(
            f"The body can't be read: {problem}.",
            next_step="/openapi.json says what it must hold.",
        ) from None


def _json(answer: object) -> Response:
    return Response(
        msgspec.json.encode(answer),
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
        media_type="application/json",
    )
