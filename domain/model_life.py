"""The life of one agent's model versions: a state machine whose moves are events.

    REGISTERED → VALIDATED → SHADOW → CANARY (5, 25, 50 %) → LIVE → RETIRED

A version leaves that ladder as ABORTED (before it was live), ROLLED_BACK or QUARANTINED. Which
rungs of trial a version climbs is declared when it is validated. One move is one event, whatever
it displaces: making a version live retires the one before it, rolling it back restores that one.
So exactly one version is live after every move from the first on, wherever a process dies.

Nothing here reads a clock or a store; `apply` is the only way from one state to the next.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Annotated, NamedTuple

import msgspec

from domain.errors import IllegalMove
from domain.messages import Value, encode, set_field, utc
from domain.models import Alias, DeploymentStatus
from domain.voting import AgentId

_S = DeploymentStatus

#: Rungs between validation and life, in order, with the per cent of decisions that the version
#: votes on; in shadow it votes beside the champion and nobody counts it.
TRIAL: Mapping[DeploymentStatus, int] = {
    _S.SHADOW: 0,
    _S.CANARY_5: 5,
    _S.CANARY_25: 25,
    _S.CANARY_50: 50,
}
#: A version that was rolled back so often is quarantined, for good.
MAXIMUM_ROLLBACKS = 2
#: An actor whose name begins so is a person: it may skip rungs, and give the approval asked for.
PERSON = "person:"

_ONGOING = (_S.REGISTERED, _S.VALIDATED, *TRIAL)


class ModelMove(Value, frozen=True, kw_only=True):
    """One move of one version.

    Parameters
    ----------
    sequence
        1, 2, 3 … over all moves of the agent: two movers can't both take one place.
    version, after
        Which version moves, and where to.
    displaced
        The version that it retires by going live, or that goes live again by its rollback.
    trial, approval
        Declared on validation: the rungs to climb, and whether a person has to let it go live.
    actor, reason, evidence
        Who (``person:<name>`` or a process), why, and the SHA-256 of what it was decided on.
    previous
        SHA-256 of the move before this one; empty for the first.
    """

    agent: AgentId
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    version: Annotated[int, msgspec.Meta(ge=1)]
    after: DeploymentStatus
    displaced: int | None = None
    trial: tuple[DeploymentStatus, ...] = ()
    approval: bool = False
    actor: str
    reason: str
    evidence: str = ""
    occurred_at: datetime
    previous: str = ""

    def __post_init__(self) -> None:
        set_field(self, "occurred_at", utc(self.occurred_at, "occurred_at"))

    @property
    def digest(self) -> str:
        """SHA-256 of the move; the next one names it."""
        return sha256(encode(self)).hexdigest()


class Standing(NamedTuple):
    """Where a version stands, what it was declared to climb, and how often it was rolled back."""

    status: DeploymentStatus = _S.REGISTERED
    trial: tuple[DeploymentStatus, ...] = ()
    approval: bool = False
    rollbacks: int = 0


class ModelLife(NamedTuple):
    """All versions of one agent after some moves; a version without any is REGISTERED.

    Parameters
    ----------
    succession
        Versions that were live and may be again, the live one last.
    sequence, head
        Number and digest of the last move.
    """

    agent: AgentId
    standings: Mapping[int, Standing] = {}
    succession: tuple[int, ...] = ()
    sequence: int = 0
    head: str = ""

    @property
    def live(self) -> int | None:
        """The version that decides."""
        return self.succession[-1] if self.succession else None

    @property
    def previous(self) -> int | None:
        """The version that takes over if the live one is rolled back."""
        return self.succession[-2] if len(self.succession) > 1 else None

    def of(self, version: int) -> Standing:
        """Return where a version stands."""
        return self.standings.get(version, Standing())

    @property
    def on_trial(self) -> int | None:
        """The version in shadow or canary; there is at most one."""
        return next((v for v, s in self.standings.items() if s.status in TRIAL), None)

    def after_rollback(self, version: int) -> DeploymentStatus:
        """Return where a version goes if it is rolled back now."""
        again = self.of(version).rollbacks + 1 >= MAXIMUM_ROLLBACKS
        return _S.QUARANTINED if again else _S.ROLLED_BACK

    def alias(self, alias: Alias, registered: Iterable[int] = ()) -> int | None:
        """Return the version that an alias stands for.

        The challenger is the version on trial, else the newest of `registered` that may still
        become champion.
        """
        match alias:
            case Alias.CHAMPION:
                return self.live
            case Alias.PREVIOUS:
                return self.previous
            case Alias.CHALLENGER:
                waiting = (v for v in registered if self.of(v).status in _ONGOING)
                return self.on_trial or max(waiting, default=None)

    def next_rung(self, version: int) -> DeploymentStatus | None:
        """Return the rung above a version's; None where only its end is left."""
        status, trial, *_ = self.of(version)
        ladder = (_S.VALIDATED, *trial, _S.LIVE)
        if status is _S.LIVE or status not in ladder:
            return None
        return ladder[ladder.index(status) + 1]


def fold(agent: AgentId, moves: Iterable[ModelMove]) -> ModelLife:
    """Return the state after all moves of an agent.

    Raises
    ------
    IllegalMove
        If one is missing, altered or not legal.
    """
    life = ModelLife(agent)
    for move in moves:
        life = apply(life, move)
    return life


def apply(life: ModelLife, move: ModelMove) -> ModelLife:
    """Return the state after one move.

    Raises
    ------
    IllegalMove
        If it is not the next of this agent, or leads where the version can't go from here.
    """
    if (move.agent, move.sequence, move.previous) != (life.agent, life.sequence + 1, life.head):
        raise _illegal(move, f"it does not follow move {life.sequence} of {life.agent}")
    if problem := _problem(life, move):
        raise _illegal(move, problem)
    standings = {**life.standings, move.version: _moved(life, move)}
    succession = tuple(version for version in life.succession if version != move.version)
    if move.after is _S.LIVE:
        if life.live is not None:
            standings[life.live] = standings[life.live]._replace(status=_S.RETIRED)
        succession = (*succession, move.version)
    elif move.after not in FALLEN:
        succession = life.succession
    elif move.version == life.live:
        standings[succession[-1]] = standings[succession[-1]]._replace(status=_S.LIVE)
    return ModelLife(life.agent, standings, succession, move.sequence, move.digest)


def next_move(
    life: ModelLife,
    version: int,
    after: DeploymentStatus,
    *,
    actor: str,
    reason: str,
    occurred_at: datetime,
    evidence: str = "",
) -> ModelMove:
    """Return the move that would take a version on from `life`; `apply` says if it is legal."""
    displaced = None
    if after is _S.LIVE:
        displaced = life.live
    elif after in FALLEN and version == life.live:
        displaced = life.previous
    return ModelMove(
        agent=life.agent,
        sequence=life.sequence + 1,
        version=version,
        after=after,
        displaced=displaced,
        actor=actor,
        reason=reason,
        evidence=evidence,
        occurred_at=occurred_at,
        previous=life.head,
    )


def _moved(life: ModelLife, move: ModelMove) -> Standing:
    standing = life.of(move.version)
    if move.after is _S.VALIDATED:
        return Standing(move.after, move.trial, move.approval, standing.rollbacks)
    fell = move.after in FALLEN and move.version in life.succession
    return standing._replace(status=move.after, rollbacks=standing.rollbacks + fell)


#: Where a version ends that was found bad.
FALLEN = (_S.ROLLED_BACK, _S.QUARANTINED)
#: From where a version may be judged anew; what it was declared to climb is declared anew.
JUDGED_ANEW = (_S.REGISTERED, _S.ABORTED, _S.RETIRED, _S.ROLLED_BACK)


def _problem(life: ModelLife, move: ModelMove) -> str:  # noqa: PLR0911 - one for each way
    """Return why a move is illegal; empty if it is legal."""
    status = life.of(move.version).status
    if status is _S.QUARANTINED:
        return "what is quarantined stays there"
    if move.after in TRIAL:
        return _trial_problem(life, move)
    if move.after in FALLEN:
        return _falling_problem(life, move)
    if move.after is _S.VALIDATED:
        return _validation_problem(status, move)
    if move.after is _S.LIVE:
        return _going_live_problem(life, move)
    if move.after is _S.ABORTED:
        return "" if status in _ONGOING else f"it is {status}"
    return f"{move.after} only follows from another version's move"


def _trial_problem(life: ModelLife, move: ModelMove) -> str:
    if (busy := life.on_trial) not in {None, move.version}:
        return f"version {busy} is on trial"
    if life.live is None:
        return "no version is live that it could be compared with"
    return _climbing_problem(life, move)


def _validation_problem(status: DeploymentStatus, move: ModelMove) -> str:
    rungs = list(TRIAL)
    places = [rungs.index(rung) if rung in TRIAL else -1 for rung in move.trial]
    if -1 in places or places != sorted(set(places)):
        return "the trial it declares is not a part of the ladder, in order"
    return "" if status in JUDGED_ANEW else f"it is {status}"


def _going_live_problem(life: ModelLife, move: ModelMove) -> str:
    standing, by_person = life.of(move.version), move.actor.startswith(PERSON)
    if move.displaced != life.live:
        return f"version {life.live} is live, not {move.displaced}"
    if life.live is None:
        return ""  # an agent's first version has nothing to be compared with
    if by_person and standing.status in {_S.VALIDATED, *TRIAL, _S.RETIRED}:
        return ""
    if standing.approval and not by_person:
        return "a person has to approve it"
    return _climbing_problem(life, move)


def _climbing_problem(life: ModelLife, move: ModelMove) -> str:
    expected = life.next_rung(move.version)
    if expected is move.after:
        return ""
    return f"it is {life.of(move.version).status}, from where the next rung is {expected or 'none'}"


def _falling_problem(life: ModelLife, move: ModelMove) -> str:
    standing = life.of(move.version)
    if move.version not in life.succession:
        on_trial = standing.status in TRIAL and move.after is _S.QUARANTINED
        return "" if on_trial else f"it never was live, it is {standing.status}"
    if standing.rollbacks + 1 >= MAXIMUM_ROLLBACKS and move.after is _S.ROLLED_BACK:
        return "a version that falls again is quarantined"
    if move.version != life.live:
        return "" if move.displaced is None else "it is not live, so none takes its place"
    if life.previous is None:
        return "there is no version to fall back to"
    if move.displaced != life.previous:
        return f"it falls back to version {life.previous}, not {move.displaced}"
    return ""


def _illegal(move: ModelMove, why: str) -> IllegalMove:
    return IllegalMove(
        f"{move.agent}@{move.version} can't become {move.after}: {why}.",
        kept="Every version stands where it stood.",
        next_step=f"`quorum models --agent {move.agent} --history` tells where each stands.",
    )
