"""One agent's breaker against a model of it, and what it does at its limits."""

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consensus.breaker import Breaker
from domain.breaker import BreakerRules, BreakerState, Cause
from tests.builders import at

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN
RULES = BreakerRules(missed_rounds=3, late_votes=2, refused_votes=4, pause=timedelta(seconds=10))


def opened() -> Breaker:
    return Breaker(state=OPEN, cause=Cause.DEAD, retry_at=at(10))


@pytest.mark.parametrize(
    ("fail", "limit", "cause"),
    [
        (Breaker.missed_round, RULES.missed_rounds, Cause.DEAD),
        (Breaker.voted_late, RULES.late_votes, Cause.SLOW),
        (Breaker.sent_garbage, RULES.refused_votes, Cause.GARBAGE),
    ],
)
def test_it_opens_at_so_many_failures_in_a_row_and_not_before(fail, limit, cause):
    breaker = Breaker()
    for n in range(limit - 1):
        breaker = fail(breaker, f"p{n}", at(n), RULES)
        assert breaker.admits("next")
    assert fail(breaker.voted("good"), "p", at(5), RULES).admits("next")
    breaker = fail(breaker, "last", at(5), RULES)
    assert (breaker.state, breaker.cause, breaker.retry_at) == (OPEN, cause, at(15))
    assert not breaker.admits("next")


def test_failures_of_different_kinds_do_not_add_up():
    breaker = Breaker()
    for fail in (Breaker.missed_round, Breaker.missed_round, Breaker.voted_late):
        breaker = fail(breaker, "p", at(0), RULES)
    assert breaker.state is CLOSED


def test_it_probes_with_exactly_one_round_once_the_pause_is_over():
    assert opened().offer("early", at(9.999)) == opened()
    probing = opened().offer("probe", at(10))
    assert (probing.state, probing.cause) == (HALF_OPEN, Cause.DEAD)
    assert probing.admits("probe")
    assert not probing.admits("another")
    assert probing.offer("another", at(11)) == probing


def test_only_the_probe_closes_or_opens_it():
    probing = opened().offer("probe", at(10))
    assert probing.voted("probe") == Breaker()
    assert probing.voted("another") == probing
    assert probing.missed_round("another", at(12), RULES) == probing
    failed = probing.missed_round("probe", at(12), RULES)
    assert (failed.state, failed.retry_at) == (OPEN, at(22))
    assert probing.sent_garbage("probe", at(12), RULES).cause is Cause.GARBAGE


def test_what_comes_of_earlier_rounds_does_not_prolong_the_pause():
    for fail in (Breaker.missed_round, Breaker.voted_late, Breaker.sent_garbage):
        assert fail(opened(), "earlier", at(9), RULES) == opened()
    assert opened().voted("earlier") == opened()


class Machine(RuleBasedStateMachine):
    """Rounds come and go in any order; the model keeps lists where the breaker keeps counts."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0
        self.rounds: list[str] = []
        self.admitted: list[str] = []
        self.probe: str | None = None
        self.open_until: int | None = None
        self.failures: dict[str, int] = {"missed": 0, "late": 0, "refused": 0}

    @rule(seconds=st.integers(0, 8))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_round_opens(self):
        name = f"p{len(self.rounds)}"
        self.rounds.append(name)
        self.breaker = self.breaker.offer(name, at(self.now))
        if self.open_until is not None and self.probe is None and self.now >= self.open_until:
            self.probe = name
        expected = self.probe == name if self.open_until is not None else True
        assert self.breaker.admits(name) is expected

    @rule(data=st.data(), kind=st.sampled_from(["voted", "missed", "late", "refused"]))
    def something_comes_of_a_round(self, data, kind):
        if not self.rounds:
            return
        name = data.draw(st.sampled_from(self.rounds))
        match kind:
            case "voted":
                self.breaker = self.breaker.voted(name)
            case "missed":
                self.breaker = self.breaker.missed_round(name, at(self.now), RULES)
            case "late":
                self.breaker = self.breaker.voted_late(name, at(self.now), RULES)
            case _:
                self.breaker = self.breaker.sent_garbage(name, at(self.now), RULES)
        self._model(name, kind)

    def _model(self, name: str, kind: str) -> None:
        closed = self.open_until is None
        if not closed and name != self.probe:
            return
        if kind == "voted":
            self.open_until, self.probe = None, None
            self.failures = dict.fromkeys(self.failures, 0)
            return
        self.failures[kind] += 1
        limits = {"missed": 3, "late": 2, "refused": 4}
        if not closed or self.failures[kind] >= limits[kind]:
            self.open_until, self.probe = self.now + 10, None
            self.failures = dict.fromkeys(self.failures, 0)

    @invariant()
    def the_state_is_the_models(self):
        expected = CLOSED if self.open_until is None else OPEN if self.probe is None else HALF_OPEN
        assert self.breaker.state is expected
        counts = self.breaker.missed, self.breaker.late, self.breaker.refused
        assert counts == tuple(self.failures.values())
        assert (self.breaker.cause is None) is (expected is CLOSED)


Machine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
