"""A model version's life: every move is legal or raises, and one version is live throughout."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from domain.errors import IllegalMove
from domain.model_life import TRIAL, ModelLife, ModelMove, apply, fold, next_move
from domain.models import Alias, DeploymentStatus
from domain.voting import AgentId

AGENT = AgentId.EXECUTION
S = DeploymentStatus
WHOLE = tuple(TRIAL)


def move(life: ModelLife, version: int, after: DeploymentStatus, **fields) -> ModelMove:
    """Return the next move, with some fields of it changed."""
    at = datetime(2013, 1, 2, tzinfo=UTC)
    made = next_move(life, version, after, actor="gate", reason="because", occurred_at=at)
    return msgspec.structs.replace(made, **fields)


def lived(*steps, life: ModelLife | None = None) -> ModelLife:
    """Return the life after steps of (version, after) or (version, after, fields)."""
    life = life or ModelLife(AGENT)
    for version, after, *fields in steps:
        life = apply(life, move(life, version, after, **(fields[0] if fields else {})))
    return life


FIRST = (1, S.LIVE)


def aliases(life: ModelLife, registered=()) -> list[int | None]:
    return [life.alias(alias, registered) for alias in Alias]


def test_the_whole_ladder_is_climbed_rung_by_rung():
    life = lived(FIRST, (2, S.VALIDATED, {"trial": WHOLE}))
    assert aliases(life, (1, 2)) == [1, 2, None]
    for rung in WHOLE:
        assert life.next_rung(2) is rung
        life = lived((2, rung), life=life)
        assert (life.on_trial, life.live) == (2, 1)
    life = lived((2, S.LIVE), life=life)
    assert aliases(life, (1, 2)) == [2, None, 1]
    assert (life.of(1).status, life.of(2).status) == (S.RETIRED, S.LIVE)


@pytest.mark.parametrize("trial", [(), (S.SHADOW,), (S.SHADOW, S.CANARY_25), (S.CANARY_50,)])
def test_the_rungs_are_those_declared_on_validation(trial):
    life = lived(FIRST, (2, S.VALIDATED, {"trial": trial}))
    assert lived(*((2, rung) for rung in (*trial, S.LIVE)), life=life).live == 2
    for rung in {*TRIAL, S.LIVE} - {*trial[:1]} if trial else TRIAL:
        with pytest.raises(IllegalMove, match="next rung"):
            lived((2, rung), life=life)


def test_a_rung_is_not_skipped_by_a_process_but_may_be_by_a_person():
    life = lived(FIRST, (2, S.VALIDATED, {"trial": WHOLE}), (2, S.SHADOW))
    with pytest.raises(IllegalMove, match="the next rung is CANARY_5"):
        lived((2, S.LIVE), life=life)
    assert lived((2, S.LIVE, {"actor": "person:anna"}), life=life).live == 2


def test_where_policy_asks_for_a_person_no_process_makes_it_live():
    life = lived(FIRST, (2, S.VALIDATED, {"approval": True}))
    with pytest.raises(IllegalMove, match="a person has to approve"):
        lived((2, S.LIVE), life=life)
    assert lived((2, S.LIVE, {"actor": "person:anna"}), life=life).live == 2


def test_a_rollback_restores_the_one_before_and_the_second_quarantines():
    life = lived(FIRST, (2, S.VALIDATED), (2, S.LIVE))
    assert life.after_rollback(2) is S.ROLLED_BACK
    life = lived((2, S.ROLLED_BACK), life=life)
    assert (life.live, life.previous, life.of(2).status) == (1, None, S.ROLLED_BACK)
    life = lived((2, S.VALIDATED), (2, S.LIVE), life=life)
    assert life.after_rollback(2) is S.QUARANTINED
    with pytest.raises(IllegalMove, match="falls again"):
        lived((2, S.ROLLED_BACK), life=life)
    life = lived((2, S.QUARANTINED), life=life)
    assert (life.live, life.of(2).status) == (1, S.QUARANTINED)
    for after in S:
        with pytest.raises(IllegalMove, match="stays there"):
            lived((2, after, {"actor": "person:anna"}), life=life)


def test_rollbacks_fall_back_one_by_one_to_the_first_version_and_no_further():
    life = lived(FIRST, *((v, a) for v in (2, 3) for a in (S.VALIDATED, S.LIVE)))
    life = lived((3, S.ROLLED_BACK), (2, S.ROLLED_BACK), life=life)
    assert aliases(life) == [1, None, None]
    with pytest.raises(IllegalMove, match="no version to fall back to"):
        lived((1, S.ROLLED_BACK), life=life)


def test_a_version_found_bad_after_it_was_retired_is_no_longer_what_to_fall_back_to():
    life = lived(FIRST, *((v, a) for v in (2, 3) for a in (S.VALIDATED, S.LIVE)))
    life = lived((2, S.QUARANTINED), life=life)
    assert (life.live, life.previous) == (3, 1)


def test_one_version_is_on_trial_at_a_time():
    life = lived(FIRST, *((v, S.VALIDATED, {"trial": WHOLE}) for v in (2, 3)), (2, S.SHADOW))
    with pytest.raises(IllegalMove, match="version 2 is on trial"):
        lived((3, S.SHADOW), life=life)
    assert lived((2, S.ABORTED), (3, S.SHADOW), life=life).on_trial == 3


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"sequence": 1}, "does not follow"),
        ({"sequence": 3}, "does not follow"),
        ({"previous": "0" * 64}, "does not follow"),
        ({"agent": AgentId.RISK_MANAGER}, "does not follow"),
    ],
)
def test_a_move_names_the_one_before_it(fields, why):
    life = lived(FIRST)
    wrong = msgspec.structs.replace(move(life, 2, S.VALIDATED), **fields)
    with pytest.raises(IllegalMove, match=why):
        apply(life, wrong)


def test_of_two_that_promote_at_once_the_slower_raises():
    life = lived(FIRST, (2, S.VALIDATED), (3, S.VALIDATED))
    fast, slow = move(life, 2, S.LIVE), move(life, 3, S.LIVE)
    life = apply(life, fast)
    with pytest.raises(IllegalMove, match="does not follow"):
        apply(life, slow)
    with pytest.raises(IllegalMove, match="version 2 is live, not 1"):
        lived((3, S.LIVE, {"displaced": 1}), life=life)


@pytest.mark.parametrize("trial", [(S.CANARY_5, S.SHADOW), (S.SHADOW, S.SHADOW), (S.LIVE,)])
def test_a_trial_out_of_order_is_not_declared(trial):
    with pytest.raises(IllegalMove, match="not a part of the ladder"):
        lived(FIRST, (2, S.VALIDATED, {"trial": trial}))


def test_an_altered_or_missing_move_is_found():
    life, moves = ModelLife(AGENT), []
    for version, after in (FIRST, (2, S.VALIDATED), (2, S.LIVE), (2, S.ROLLED_BACK)):
        moves.append(move(life, version, after))
        life = apply(life, moves[-1])
    assert fold(AGENT, moves) == life
    altered = msgspec.structs.replace(moves[1], reason="another")
    for broken in (moves[1:], [moves[0], *moves[2:]], [moves[0], altered, *moves[2:]]):
        with pytest.raises(IllegalMove):
            fold(AGENT, broken)


#: Status of the version that moves → where it may ever go; written down apart from the code.
EDGES = {
    S.REGISTERED: {S.VALIDATED, S.ABORTED, S.LIVE},
    S.VALIDATED: {*TRIAL, S.LIVE, S.ABORTED, S.ROLLED_BACK, S.QUARANTINED},
    **{r: {*WHOLE[i + 1 :], S.LIVE, S.ABORTED, S.ROLLED_BACK, S.QUARANTINED}
       for i, r in enumerate(WHOLE)},
    S.LIVE: {S.ROLLED_BACK, S.QUARANTINED},
    S.RETIRED: {S.VALIDATED, S.LIVE, S.ROLLED_BACK, S.QUARANTINED},
    S.ABORTED: {S.VALIDATED, S.ROLLED_BACK, S.QUARANTINED},
    S.ROLLED_BACK: {S.VALIDATED},
    S.QUARANTINED: set(),
}  # fmt: skip


class Life(RuleBasedStateMachine):
    """Anybody tries anything with any of five versions."""

    steps = 0

    def __init__(self):
        super().__init__()
        self.life = ModelLife(AGENT)
        self.moves: list[ModelMove] = []
        self.climbed: dict[int, list[DeploymentStatus]] = {}

    def attempt(self, tried: ModelMove) -> bool:
        Life.steps += 1
        before = self.life.of(tried.version).status
        first = self.life.live is None
        try:
            after = apply(self.life, tried)
        except IllegalMove:
            return False
        assert tried.after in EDGES[before] or (first and tried.after is S.LIVE)
        assert after.of(tried.version).status is tried.after
        if tried.after is S.VALIDATED:
            self.climbed[tried.version] = []
        elif tried.after is S.LIVE and not first and tried.actor == "gate":
            standing = self.life.of(tried.version)
            assert self.climbed[tried.version] == list(standing.trial)
            assert not standing.approval
        else:
            self.climbed.setdefault(tried.version, []).append(tried.after)
        self.life = after
        self.moves.append(tried)
        return True

    @rule(
        version=st.integers(1, 5),
        after=st.sampled_from(S),
        actor=st.sampled_from(["gate", "person:anna"]),
        trial=st.sets(st.sampled_from(WHOLE)).map(lambda s: tuple(r for r in WHOLE if r in s)),
        approval=st.booleans(),
    )
    def anything(self, version, after, actor, trial, approval):
        fields = {"trial": trial, "approval": approval} if after is S.VALIDATED else {}
        self.attempt(move(self.life, version, after, actor=actor, **fields))

    @rule(version=st.integers(1, 5))
    def climb(self, version):
        rung = self.life.next_rung(version)
        busy = rung in TRIAL and self.life.on_trial not in {None, version}
        if rung is not None and self.life.live is not None and not busy:
            assert self.attempt(move(self.life, version, rung, actor="person:anna"))

    @rule()
    def breach(self):
        if self.life.previous is not None:
            bad, good = self.life.live, self.life.previous
            assert self.attempt(move(self.life, bad, self.life.after_rollback(bad)))
            assert self.life.live == good

    @invariant()
    def exactly_one_is_live(self):
        alive = [v for v, s in self.life.standings.items() if s.status is S.LIVE]
        assert alive == ([] if self.life.live is None else [self.life.live])
        assert (self.life.live is None) == all(m.after is not S.LIVE for m in self.moves)

    @invariant()
    def what_fell_for_good_is_nowhere(self):
        for version, standing in self.life.standings.items():
            assert (standing.rollbacks < 2) or standing.status is S.QUARANTINED
            if standing.status in {S.QUARANTINED, S.ROLLED_BACK}:
                assert version not in aliases(self.life, range(1, 6))
        assert sum(s.status in TRIAL for s in self.life.standings.values()) <= 1

    def teardown(self):
        assert fold(AGENT, self.moves) == self.life


def test_exactly_one_is_live_through_ten_thousand_steps():
    Life.steps = 0
    run_state_machine_as_test(
        Life, settings=settings(max_examples=300, stateful_step_count=150, deadline=None)
    )
    assert Life.steps >= 10_000
