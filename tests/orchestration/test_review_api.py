"""The review desk over HTTP: a real process beside a running consensus, and what attacks it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from adapters.bus import RedisBus
from adapters.embedded import Endpoints
from adapters.persons import Persons
from domain.messages import decode, encode
from domain.review import ReviewVerdict, verdict_id
from domain.streams import Stream
from tests.orchestration.desk import Desk, running_desk, serving_desk
from tests.orchestration.test_review import DISAGREEMENT

_names = count(1)
PEOPLE = [f"p{number:02}" for number in range(50)]
#: Units at the builders' price of 100: worth 200,000, which needs two persons.
LARGE = 2000


class Api:
    """The API as a program sees it."""

    def __init__(self, url: str, tokens: dict[str, str], desk: Desk) -> None:
        self.url, self.tokens, self.desk = url, tokens, desk

    def ask(self, method: str, path: str, *, by: str = "p00", **rest) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[by]}"} if by else {}
        with httpx.Client(base_url=self.url, timeout=60, headers=headers) as client:
            return client.request(method, path, **rest)

    def dispute(self, *, quantity: int = 10) -> str:
        """Return the id of a decision on which the agents disagreed."""
        decision = self.desk.propose(f"api {next(_names)}", DISAGREEMENT, quantity=quantity)
        self.desk.until(lambda: self.ask("GET", f"/reviews/{decision}").is_success)
        return decision

    def approve(self, decision: str, *, by: str = "p00", **rest) -> httpx.Response:
        body = {"reason": "I agree", "price": "100"} | rest
        return self.ask("POST", f"/reviews/{decision}/approve", by=by, json=body)

    def reject(self, decision: str, *, by: str = "p00") -> httpx.Response:
        return self.ask("POST", f"/reviews/{decision}/reject", by=by, json={"reason": "no"})


@pytest.fixture(scope="module")
def api(
    servers: Endpoints, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    home: Path = tmp_path_factory.mktemp("review-api") / "home"
    with running_desk(servers, new_database(), home) as desk:
        persons = Persons(home)
        tokens = {name: persons.add(name) for name in PEOPLE}
        tokens["new"] = persons.add("new", Decimal(999))
        tokens["nobody"] = "quorum_guessed"
        with serving_desk(desk) as url:
            yield Api(url, tokens, desk)
    told = (home / "review.log").read_text()
    assert not [token for token in tokens.values() if token in told]
    assert "Traceback" not in told, told


def problem(answer: httpx.Response) -> str:
    """Return what a problem document says, having checked its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert set(document) == {"type", "title", "status", "detail", "kept", "next_step"}
    assert all(document[name] for name in document)
    return document["detail"]


def test_a_review_is_listed_shown_claimed_and_answered(api: Api):
    decision = api.dispute()
    listed = api.ask("GET", "/reviews", params={"limit": 500}).json()
    assert decision in [each["decision"]["message_id"] for each in listed]
    shown = api.ask("GET", f"/reviews/{decision}").json()
    assert len(shown["decision"]["counted"]) == 4
    assert all(vote["rationale"] for vote in shown["decision"]["counted"])
    assert (shown["state"], shown["terms"]["approvals_needed"]) == ("waiting", 1)
    claim = f"/reviews/{decision}/claim"
    assert api.ask("PUT", claim).json()["actor"] == "p00"
    assert "p00 looks at" in problem(api.ask("PUT", claim, by="p01"))
    assert "p00 looks at" in problem(api.reject(decision, by="p01"))
    assert api.ask("DELETE", claim).status_code == 204
    ended = api.approve(decision, by="p01")
    assert (ended.status_code, ended.json()["final"]["outcome"]) == (200, "EXECUTE")
    again = api.approve(decision, by="p01")
    assert (again.status_code, again.json()) == (200, ended.json())
    late = api.reject(decision, by="p02")
    assert late.status_code == 409
    assert "EXECUTE (approved): approved by p01 at" in problem(late)


def test_of_fifty_who_approve_at_once_one_wins_and_the_others_learn_who(api: Api):
    decision = api.dispute()
    answers = at_once([lambda p=p: api.approve(decision, by=p) for p in PEOPLE])
    won = [answer for answer in answers if answer.status_code == 200]
    assert [a.status_code for a in answers].count(409) == 49
    [verdict] = won[0].json()["verdicts"]
    assert PEOPLE[answers.index(won[0])] == verdict["actor"]
    told = {problem(answer) for answer in answers if answer is not won[0]}
    assert all(f"approved by {verdict['actor']} at" in each for each in told)
    assert api.ask("GET", f"/reviews/{decision}").json()["verdicts"] == [verdict]


def test_of_fifty_who_approve_what_needs_two_at_once_two_win(api: Api):
    decision = api.dispute(quantity=LARGE)
    answers = at_once([lambda p=p: api.approve(decision, by=p) for p in PEOPLE])
    assert sorted(a.status_code for a in answers) == [200] * 2 + [409] * 48
    review = api.ask("GET", f"/reviews/{decision}").json()
    winners = {v["actor"] for v in review["verdicts"]}
    assert len(winners) == 2
    assert review["final"]["outcome"] == "EXECUTE"
    told = [problem(answer) for answer in answers if answer.status_code == 409]
    assert all(winner in each for each in told for winner in winners)


def test_of_those_who_approve_and_reject_at_once_one_wins(api: Api):
    for _ in range(3):
        decision = api.dispute()
        calls = [lambda p=p, d=decision: api.approve(d, by=p) for p in PEOPLE[:5]]
        calls += [lambda p=p, d=decision: api.reject(d, by=p) for p in PEOPLE[5:10]]
        answers = at_once(calls)
        assert sorted(a.status_code for a in answers) == [200] + [409] * 9
        [verdict] = api.ask("GET", f"/reviews/{decision}").json()["verdicts"]
        assert answers[PEOPLE.index(verdict["actor"])].status_code == 200


def test_one_person_is_never_two(api: Api):
    decision = api.dispute(quantity=LARGE)
    answers = at_once([lambda: api.approve(decision) for _ in range(10)])
    assert {a.status_code for a in answers} == {200}
    assert {a.json()["state"] for a in answers} == {"waiting_for_second_approval"}
    assert [v["actor"] for v in answers[0].json()["verdicts"]] == ["p00"]
    assert api.approve(decision, by="p01").json()["final"]["outcome"] == "EXECUTE"


def test_the_price_is_checked_again_at_the_second_approval(api: Api):
    decision = api.dispute(quantity=LARGE)
    assert api.approve(decision).json()["final"] is None
    moved = api.approve(decision, by="p01", price="110.01").json()
    assert (moved["final"]["outcome"], moved["final"]["reason"]) == ("REJECT", "price_moved")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/reviews"),
        ("GET", "/reviews/x"),
        ("PUT", "/reviews/x/claim"),
        ("DELETE", "/reviews/x/claim"),
        ("POST", "/reviews/x/approve"),
        ("POST", "/reviews/x/reject"),
    ],
)
def test_nothing_is_told_to_who_is_not_known(api: Api, method: str, path: str):
    for by in ("", "nobody"):
        answer = api.ask(method, path, by=by, json={"reason": "x"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "guessed" not in problem(answer)
    basic = httpx.request(method, api.url + path, headers={"authorization": "Basic cDAwOng="})
    assert basic.status_code == 401


def test_an_actor_can_not_be_claimed(api: Api):
    decision = api.dispute()
    answer = api.approve(decision, actor="p01")
    assert answer.status_code == 422
    assert "unknown field `actor`" in problem(answer)
    assert "999" in problem(api.approve(decision, by="new"))
    assert api.approve(decision, by="new").status_code == 403
    assert api.ask("GET", f"/reviews/{decision}").json()["verdicts"] == []
    assert api.reject(decision, by="new").status_code == 200  # which anybody may


def test_a_verdict_that_is_replayed_on_the_bus_changes_nothing(api: Api):
    decision = api.dispute(quantity=LARGE)
    shown = api.approve(decision).json()
    [said] = [ReviewVerdict(**_fields(v)) for v in shown["verdicts"]]
    api.desk.publish(Stream.REVIEWS, *[said] * 5)
    assert api.approve(decision, by="p01").json()["final"]["outcome"] == "EXECUTE"
    api.desk.publish(Stream.REVIEWS, *[said] * 5)
    another = api.dispute()  # the partition goes on
    assert api.reject(another).status_code == 200
    ended = api.ask("GET", f"/reviews/{decision}").json()
    assert [v["actor"] for v in ended["verdicts"]] == ["p00", "p01"]


def test_a_verdict_with_another_events_id_does_not_stop_the_partition(api: Api):
    decision = api.dispute()
    shown = api.reject(api.dispute()).json()
    [said] = [ReviewVerdict(**_fields(v)) for v in shown["verdicts"]]
    forged = _fields(shown["verdicts"][0]) | {"decision_id": decision, "message_id": decision}
    api.desk.publish(Stream.REVIEWS, ReviewVerdict(**forged), said)
    assert api.ask("GET", f"/reviews/{decision}").json()["state"] == "waiting"
    assert api.reject(decision).json()["verdicts"][0]["message_id"] == verdict_id(
        decision, "p00", approved=False
    )


def test_a_verdict_that_the_desk_did_not_seal_is_not_heard(api: Api):
    """Who may write to the bus could else write any person's name there."""
    decision, next_one = api.dispute(), api.dispute()
    [said] = api.reject(api.dispute()).json()["verdicts"]
    name = verdict_id(decision, "p01", approved=True)
    forged = _fields(said) | {
        "decision_id": decision,
        "message_id": name,
        "actor": "p01",
        "approved": True,
    }

    async def publish(bus: RedisBus) -> None:
        await bus.publish_raw(Stream.REVIEWS, 0, encode(ReviewVerdict(**forged)))

    api.desk.on_bus(publish)
    assert api.reject(next_one).status_code == 200  # which comes behind it
    assert api.ask("GET", f"/reviews/{decision}").json()["state"] == "waiting"


def _fields(verdict: dict) -> dict:
    """Return a shown verdict's fields as its type takes them."""
    message = decode(json.dumps({"type": "ReviewVerdict"} | verdict).encode())
    return {name: getattr(message, name) for name in message.__struct_fields__}


@pytest.mark.parametrize(
    "reason", ["", "   ", "\x1b[31mred", "a\x00b", "\u202egnorw", "x" * 2001, 7, None]
)
def test_a_reason_that_can_not_go_on_record_is_refused(api: Api, reason: object):
    decision = api.dispute()
    answer = api.approve(decision, reason=reason)
    assert (answer.status_code, bool(problem(answer))) == (422, True)
    assert api.ask("GET", f"/reviews/{decision}").json()["state"] == "waiting"


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "1e999999", "x", True])
def test_a_price_that_is_none_is_refused(api: Api, price: object):
    assert api.approve(api.dispute(), price=price).status_code == 422


def test_a_body_is_json_and_short(api: Api):
    path = f"/reviews/{api.dispute()}/approve"
    headers = {"content-type": "application/json"}
    for content in (b"", b"{", b"[]", b'{"reason": "a", "reason"', b"\xff", b"[" * 10_000):
        assert api.ask("POST", path, content=content, headers=headers).status_code == 422
    long = api.ask("POST", path, json={"reason": "x" * 1_000_000})
    assert (long.status_code, "longer than" in problem(long)) == (413, True)
    form = api.ask("POST", path, data={"reason": "x"})
    assert (form.status_code, "not application/json" in problem(form)) == (415, True)


@pytest.mark.parametrize(
    "decision",
    [
        "x",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5c",
        "%00",
        "%ff",
        "' OR 1=1 --",
        "6F1D2C3B-0000-4000-8000-000000000000",
        "{6f1d2c3b-0000-4000-8000-000000000000}",
        "6f1d2c3b-0000-4000-8000-000000000000",
        "x" * 5000,
    ],
)
def test_an_id_that_is_none_names_nothing(api: Api, decision: str):
    for method, path in (("GET", ""), ("PUT", "/claim"), ("POST", "/approve"), ("POST", "/reject")):
        answer = api.ask(method, f"/reviews/{decision}{path}", json={"reason": "x"})
        assert (answer.status_code, bool(problem(answer))) in {(404, True), (405, True)}
        assert len(answer.content) < 1000


def test_what_was_decided_without_persons_is_no_review(api: Api):
    decision = api.desk.propose(f"agreed {next(_names)}", (80, 80, 80, 80))
    answer = api.desk.until(
        lambda: (a := api.ask("GET", f"/reviews/{decision}")) and "not sent" in a.text and a
    )
    assert "was not sent to a person: EXECUTE (consensus)" in problem(answer)


def test_a_script_in_a_rationale_stays_text(api: Api):
    shown = api.ask("GET", f"/reviews/{api.dispute()}")
    assert shown.headers["content-type"] == "application/json"
    assert shown.headers["x-content-type-options"] == "nosniff"


def test_a_wrong_method_or_path_is_told(api: Api):
    wrong = api.ask("PATCH", "/reviews")
    assert (wrong.status_code, {*wrong.headers["allow"].split(", ")}) == (405, {"GET", "HEAD"})
    assert "openapi.json" in wrong.json()["next_step"]
    assert problem(api.ask("GET", "/nothing"))


def test_while_the_consensus_hangs_the_answer_is_asked_for_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    decision = api.dispute()
    with api.desk.paused():
        health = api.ask("GET", "/readyz", by="")
        assert health.json()["ready"] is True
        assert api.ask("GET", f"/reviews/{decision}").status_code == 200
    assert api.approve(decision).status_code == 200


OPERATIONS = (
    "list_reviews",
    "show_person",
    "show_review",
    "claim_review",
    "release_review",
    "approve_review",
    "reject_review",
)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.filterwarnings("ignore")  # of schemathesis's own
def test_it_does_what_its_document_says(api: Api, name: str, mode: GenerationMode):
    operation = described(api)[name]
    # A document can't say which characters print, or that there must be a price on the market.
    beyond = [positive_data_acceptance] if operation.body else []
    if mode is GenerationMode.NEGATIVE:
        beyond.append(ignored_auth)  # it takes our token for one that it made up
    waiting = api.dispute() if mode is GenerationMode.POSITIVE and "{" in operation.path else ""
    known = {"path_parameters": {"decision_id": waiting}} if waiting else {}

    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode, **known))
    def call(case: schemathesis.Case) -> None:
        case.headers["Authorization"] = f"Bearer {api.tokens['p00']}"
        case.call_and_validate(excluded_checks=beyond)

    call()


def test_the_document_describes_each_operation_and_no_other(api: Api):
    assert set(described(api)) == set(OPERATIONS)


def described(api: Api) -> dict:
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    operations = (result.ok() for result in schema.get_all_operations())
    return {operation.definition.raw["operationId"]: operation for operation in operations}


def at_once(calls: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(calls)) as people:
        return [answer.result() for answer in [people.submit(call) for call in calls]]
