"""Claims and notices in PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from adapters.ledger.reviews import ReviewTables

LONG = 3600.0


@pytest.fixture
def tables(ledger_url: str) -> Iterator[ReviewTables]:
    opened = ReviewTables(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def later(ledger_url: str):
    """Let time pass: what the tables wait for is due."""

    def pass_time() -> None:
        with psycopg.connect(ledger_url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute("UPDATE ledger.review_claims SET expires_at = now()")
            connection.execute("UPDATE ledger.review_notices SET next_attempt_at = now()")

    return pass_time


def test_a_claim_is_seen_renewed_and_expires(tables: ReviewTables, later):
    first = tables.claim("d", "ada", LONG)
    assert first.actor == "ada"
    assert tables.claim("d", "bob", LONG) == first
    assert tables.claims(["d", "e"]) == {"d": first}
    renewed = tables.claim("d", "ada", 2 * LONG)
    assert renewed.claimed_at == first.claimed_at
    assert renewed.expires_at > first.expires_at
    later()
    assert tables.claims(["d"]) == {}
    taken = tables.claim("d", "bob", LONG)
    assert (taken.actor, taken.claimed_at > first.claimed_at) == ("bob", True)


def test_only_the_holder_releases(tables: ReviewTables):
    tables.claim("d", "ada", LONG)
    tables.release("d", "bob")
    assert tables.claims(["d"])["d"].actor == "ada"
    tables.release("d", "ada")
    assert tables.claims(["d"]) == {}
    assert tables.claim("d", "bob", LONG).actor == "bob"


def test_of_many_who_claim_at_once_one_holds_and_all_see_who(tables: ReviewTables):
    with ThreadPoolExecutor(12) as people:
        claims = list(people.map(lambda n: tables.claim("d", f"p{n}", LONG), range(36)))
    assert len({claim.actor for claim in claims}) == 1


def test_a_notice_is_sent_once(tables: ReviewTables, later):
    assert tables.attempt("n", most=3, pause_seconds=LONG) == 1
    assert tables.attempt("n", most=3, pause_seconds=LONG) == 0  # its time has not come
    tables.delivered("n")
    later()
    assert tables.attempt("n", most=3, pause_seconds=LONG) == 0
    assert tables.attempt("m", most=3, pause_seconds=LONG) == 1


def test_a_notice_that_can_not_be_delivered_is_given_up(tables: ReviewTables, later):
    seen = []
    for _ in range(5):
        seen.append(tables.attempt("n", most=3, pause_seconds=LONG))
        later()
    assert seen == [1, 2, 3, 0, 0]


def test_the_pause_doubles(tables: ReviewTables, later, ledger_url: str):
    pauses = []
    with psycopg.connect(ledger_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        for _ in range(4):
            tables.attempt("n", most=9, pause_seconds=100)
            row = connection.execute(
                "SELECT extract(epoch FROM next_attempt_at - now()) FROM ledger.review_notices"
            ).fetchone()
            pauses.append(round(float(row[0]), -2))
            later()
    assert pauses == [100, 200, 400, 800]


def test_no_two_processes_make_the_same_attempt(tables: ReviewTables):
    with ThreadPoolExecutor(12) as senders:
        attempts = senders.map(lambda _: tables.attempt("n", most=9, pause_seconds=LONG), range(36))
    assert sorted(attempts) == [0] * 35 + [1]


def test_claims_in_any_order_are_one_persons_at_a_time(tables: ReviewTables, later):
    class Claims(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            later()
            self.holder = ""

        @rule(actor=st.sampled_from(["ada", "bob"]))
        def claim(self, actor: str) -> None:
            self.holder = self.holder or actor
            assert tables.claim("d", actor, LONG).actor == self.holder

        @rule(actor=st.sampled_from(["ada", "bob"]))
        def release(self, actor: str) -> None:
            tables.release("d", actor)
            self.holder = "" if actor == self.holder else self.holder

        @rule()
        def expire(self) -> None:
            later()
            self.holder = ""

        @rule()
        def look(self) -> None:
            held = tables.claims(["d"])
            assert (held["d"].actor if held else "") == self.holder

    run_state_machine_as_test(
        Claims, settings=settings(max_examples=15, stateful_step_count=12, deadline=None)
    )
