"""Manual review in the engine: its terms, one pair of eyes or two, the price, time."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from consensus.engine import Engine
from domain.errors import InvalidValue, MessageRefused
from domain.identity import derive_id
from domain.messages import decode, encode
from domain.ports.ledger import Ignored
from domain.review import (
    LONGEST_REASON,
    ReviewEscalated,
    ReviewOpened,
    ReviewVerdict,
    final_id,
    statement,
)
from domain.rules import Rules, RulesChanged
from domain.voting import ConsensusResult, Outcome
from tests.builders import at, proposal, tick, verdict, votes

DISAGREEMENT = (100, 60, 80, 80)
ONE = Rules()
#: The builders' trade is worth 1,000.
TWO = Rules(review_four_eyes_above=Decimal(999))


def in_review(rules: Rules = ONE) -> tuple[Engine, str]:
    engine = Engine(rules)
    for message in (proposal(), *votes(scores=DISAGREEMENT)[:3]):
        assert not engine.apply(message)
    decision, opened = engine.apply(votes(scores=DISAGREEMENT)[3])
    assert isinstance(decision, ConsensusResult)
    assert isinstance(opened, ReviewOpened)
    return engine, decision.decision_id


def reasons(events) -> list[str]:
    return [e.reason for e in events if isinstance(e, Ignored)]


def end(events) -> tuple[Outcome, str]:
    final = events[-1]
    assert isinstance(final, ConsensusResult)
    return final.outcome, final.reason


def test_the_terms_are_recorded_behind_the_decision():
    engine = Engine(ONE)
    for message in (proposal(), *votes(scores=DISAGREEMENT)[:3]):
        engine.apply(message)
    decision, opened = engine.apply(votes(scores=DISAGREEMENT)[3])
    assert (opened.decision_id, opened.causation_id) == (decision.message_id, decision.message_id)
    assert opened.correlation_id == decision.correlation_id
    assert (opened.value, opened.approvals_needed) == (1000, 1)
    assert (opened.lowest_price, opened.highest_price) == (90, 110)
    assert opened.escalates_at == decision.occurred_at + timedelta(minutes=30)
    assert opened.deadline == decision.occurred_at + timedelta(hours=1)


def test_a_person_approves():
    engine, decision_id = in_review()
    before = engine.state.reviews[decision_id].decision
    answer = verdict(decision_id)
    recorded, final = engine.apply(answer)
    assert recorded == answer
    assert (final.outcome, final.reason) == (Outcome.EXECUTE, "approved")
    assert final.decision_id == final_id(decision_id)
    assert final.causation_id == answer.message_id
    assert final.occurred_at == answer.occurred_at
    assert (final.counted, final.proposal) == (before.counted, before.proposal)
    late = engine.apply(verdict(decision_id, actor="bob", seconds=61))
    assert reasons(late) == ["answered"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"approved": False}, "review_rejected"),
        ({"price": "110.000000001"}, "price_moved"),
        ({"price": "89.999999999"}, "price_moved"),
        ({"seconds": 3601}, "review_timeout"),
    ],
)
@pytest.mark.parametrize("rules", [ONE, TWO])
def test_what_is_not_approved_in_time_at_about_the_price_is_rejected(rules, answer, reason):
    engine, decision_id = in_review(rules)
    assert end(engine.apply(verdict(decision_id, **answer))) == (Outcome.REJECT, reason)


@pytest.mark.parametrize("price", ["90", "110"])
def test_the_collar_itself_is_allowed(price: str):
    engine, decision_id = in_review()
    assert end(engine.apply(verdict(decision_id, price=price)))[0] is Outcome.EXECUTE


@given(
    st.decimals("0.000000001", 10**6, places=9),
    st.decimals(0, "0.5", places=9),
    st.decimals(-1, 1, places=9),
)
def test_the_recorded_limits_admit_what_the_collar_says_exactly(then, collar, off):
    engine = Engine(Rules(review_price_collar=collar))
    events = []
    for message in (replace(proposal(), reference_price=then), *votes(scores=DISAGREEMENT)):
        events += engine.apply(message)
    opened = events[-1]
    edge = then * (1 + collar) if off > 0 else then * (1 - collar)
    price = (edge + off / 10**8).quantize(Decimal("1e-9"))
    inside = abs(price - then) <= then * collar  # exact: at most 28 digits
    assert (opened.lowest_price <= price <= opened.highest_price) is inside


def test_silence_rejects_after_it_became_urgent():
    engine, decision_id = in_review()
    assert not engine.apply(tick(1800))
    [urgent] = engine.apply(tick(1800.5))
    assert isinstance(urgent, ReviewEscalated)
    assert (urgent.decision_id, urgent.occurred_at) == (decision_id, at(1800.5))
    assert not engine.apply(tick(3600))
    [final] = engine.apply(tick(3600.5))
    assert (final.outcome, final.reason) == (Outcome.REJECT, "review_timeout")
    assert final.occurred_at == at(3600.5)
    assert reasons(engine.apply(verdict(decision_id))) == ["answered"]


def test_time_that_leaps_over_everything_rejects_without_crying_wolf():
    engine, _ = in_review()
    [final] = engine.apply(tick(10_000))
    assert final.reason == "review_timeout"


def test_above_the_value_two_persons_must_approve():
    engine, decision_id = in_review(TWO)
    first = verdict(decision_id, actor="ada", seconds=60)
    assert engine.apply(first) == [first]
    again = verdict(decision_id, actor="ada", seconds=61)
    assert reasons(engine.apply(again)) == ["same_person"]
    second = verdict(decision_id, actor="bob", seconds=62)
    recorded, final = engine.apply(second)
    assert recorded == second
    assert (final.outcome, final.causation_id) == (Outcome.EXECUTE, second.message_id)


def test_at_the_value_one_is_enough():
    engine, decision_id = in_review(Rules(review_four_eyes_above=Decimal(1000)))
    assert end(engine.apply(verdict(decision_id))) == (Outcome.EXECUTE, "approved")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"approved": False}, "review_rejected"),
        ({"price": "120"}, "price_moved"),
        ({"seconds": 3601}, "review_timeout"),
        ({"actor": "ada", "approved": False}, "review_rejected"),  # a change of mind
    ],
)
def test_a_first_approval_binds_nobody(second, reason):
    engine, decision_id = in_review(TWO)
    engine.apply(verdict(decision_id, actor="ada"))
    answer = verdict(decision_id, **{"actor": "bob", **second})
    assert end(engine.apply(answer)) == (Outcome.REJECT, reason)


def test_a_first_approval_does_not_stop_the_time():
    engine, decision_id = in_review(TWO)
    engine.apply(verdict(decision_id))
    assert [type(e) for e in engine.apply(tick(1801))] == [ReviewEscalated]
    assert end(engine.apply(tick(3601))) == (Outcome.REJECT, "review_timeout")


def test_a_setting_that_changes_does_not_change_an_open_review():
    engine, decision_id = in_review(TWO)
    change = RulesChanged(
        message_id="change",
        correlation_id="change",
        occurred_at=at(30),
        before=TWO,
        after=ONE,
        actor="ada",
    )
    assert engine.apply(change) == [change]
    first = verdict(decision_id)
    assert engine.apply(first) == [first]


def test_a_verdict_on_nothing_is_accounted_for():
    assert reasons(Engine(ONE).apply(verdict("no such decision"))) == ["unknown_decision"]


def test_a_made_up_id_is_not_taken():
    """Another event's id would make the record refuse the batch, again and again."""
    engine, decision_id = in_review()
    forged = replace(verdict(decision_id), message_id=decision_id)
    assert reasons(engine.apply(forged)) == ["wrong_id"]
    assert decision_id in engine.state.reviews


@pytest.mark.parametrize(
    "reason",
    ["", " \n ", "x" * (LONGEST_REASON + 1), "a\x1b[2Jb", "a\x00b", "a\rb", "\u202eevil", "\ud800"],
)
def test_a_reason_is_a_few_printable_words(reason: str):
    with pytest.raises(InvalidValue):
        statement(reason)


def test_a_reason_may_have_lines_and_accents():
    assert statement(" Gut so.\nÜbrigens: 10 % – “fein” ") == "Gut so.\nÜbrigens: 10 % – “fein”"


@pytest.mark.parametrize("actor", ["", "Ada", "ada\n", "a da", "ada\u0430", "x" * 65, "-ada"])
def test_an_actor_has_one_spelling(actor: str):
    data = encode(verdict("d")).replace(b'"actor":"ada"', b'"actor":' + encode_text(actor))
    with pytest.raises(MessageRefused):
        decode(data)


def test_a_reason_off_the_bus_is_checked_like_any_other():
    data = encode(verdict("d")).replace(b"I looked", b"I\\u001blooked")
    with pytest.raises(MessageRefused, match=r"U\+001B"):
        decode(data)


def encode_text(text: str) -> bytes:
    return b'"' + text.encode("unicode_escape").replace(b"\\n", b"\\n") + b'"'


def test_a_verdict_needs_a_price():
    with pytest.raises(InvalidValue):
        verdict("x", price="0")


PEOPLE = ("ada", "bob", "cleo")


class ReviewMachine(RuleBasedStateMachine):
    """Persons, prices and time in any order, beside the plainest account of what must come out."""

    reviews = Bundle("reviews")
    answers = Bundle("answers")

    @initialize(two=st.booleans())
    def start(self, two: bool) -> None:  # noqa: FBT001 - hypothesis hands it in
        self.rules = TWO if two else ONE
        self.engine = Engine(self.rules)
        self.now = 0.0
        self.opened: dict[str, float] = {}
        self.urgent: set[str] = set()
        self.approvals: dict[str, set[str]] = {}
        self.ends: dict[str, tuple[Outcome, str]] = {}
        self.log: list[str] = []

    def apply(self, message) -> list:
        events = list(self.engine.apply(message))
        for event in events:
            match event:
                case ConsensusResult() if event.outcome is Outcome.MANUAL_REVIEW:
                    self.opened[event.decision_id] = self.now
                    self.approvals[event.decision_id] = set()
                case ConsensusResult():
                    decision_id = derive_id("decision", event.proposal.proposal_id)
                    assert decision_id not in self.ends, "ended twice"
                    self.ends[decision_id] = (event.outcome, event.reason)
                case ReviewEscalated():
                    assert event.decision_id not in self.urgent, "escalated twice"
                    assert event.decision_id not in self.ends, "escalated after its end"
                    self.urgent.add(event.decision_id)
                case _:
                    pass
            if not isinstance(event, Ignored):
                self.log.append(event.message_id)
        return events

    @rule(target=reviews)
    def dispute(self):
        name = f"p{len(self.opened)}"
        self.apply(replace(proposal(name), occurred_at=at(self.now)))
        for cast in votes(name, DISAGREEMENT):
            self.apply(replace(cast, occurred_at=at(self.now)))
        return derive_id("decision", derive_id("proposal", name))

    @rule(
        target=answers,
        review=reviews,
        actor=st.sampled_from(PEOPLE),
        approved=st.booleans(),
        price=st.sampled_from(["100", "110", "110.01", "50"]),
        delay=st.sampled_from([0, 0, 0, 3601]),
    )
    def answer(self, review: str, actor: str, approved: bool, price: str, delay: int):  # noqa: FBT001
        said = verdict(
            review, actor=actor, approved=approved, price=price, seconds=self.now + delay
        )
        self.expect(said, self.apply(said))
        return said

    @rule(said=answers)
    def repeat(self, said: ReviewVerdict) -> None:
        """The bus delivers at least once."""
        self.expect(said, self.apply(said))

    @rule(said=consumes(answers), review=reviews)
    def forge(self, said: ReviewVerdict, review: str) -> None:
        forged = replace(said, message_id=review)
        assert [type(e) for e in self.apply(forged)] == [Ignored]

    @rule(seconds=st.sampled_from([1, 600, 1801, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.apply(tick(self.now))
        for review, since in self.opened.items():
            if self.now >= since + 3600:
                assert review in self.ends
            elif self.now >= since + 1800:
                assert review in self.ends or review in self.urgent

    @rule()
    def restart(self) -> None:
        self.engine = Engine.from_bytes(self.engine.to_bytes())

    def expect(self, said: ReviewVerdict, events: list) -> None:
        review, approvals = said.decision_id, self.approvals[said.decision_id]
        needed = 2 if self.rules is TWO else 1
        before = [e for e in events if isinstance(e, Ignored)]
        if before:
            known = review in self.ends and before[0].reason in {"answered", "unknown_decision"}
            assert known or (before[0].reason, said.actor in approvals) == ("same_person", True)
            return
        assert events[0] == said
        late = said.decided_at > at(self.opened[review] + 3600)
        moved = not Decimal(90) <= said.price_now <= Decimal(110)
        if late or not said.approved or moved:
            assert self.ends[review][0] is Outcome.REJECT
            return
        assert said.actor not in approvals
        approvals.add(said.actor)
        assert (self.ends.get(review) == (Outcome.EXECUTE, "approved")) is (
            len(approvals) == needed
        )

    @invariant()
    def nothing_is_recorded_twice(self) -> None:
        assert len(set(self.log)) == len(self.log)

    @invariant()
    def only_enough_persons_execute(self) -> None:
        needed = 2 if self.rules is TWO else 1
        for review, (outcome, _) in self.ends.items():
            assert (outcome is Outcome.EXECUTE) <= (len(self.approvals[review]) == needed)

    @invariant()
    def what_is_open_is_what_has_not_ended(self) -> None:
        assert set(self.engine.state.reviews) == set(self.opened) - set(self.ends)


def test_no_order_of_persons_prices_and_time_breaks_the_machine():
    run_state_machine_as_test(
        ReviewMachine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
