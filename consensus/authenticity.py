"""Whether a message comes from who may say it: the last check before it has any effect.

It stands outside the engine, so what the engine decides depends on no key: a message that is
refused here never enters the journal, and one that was let in is replayed without keys.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from domain.identity import derive_id
from domain.messages import MAXIMUM_MESSAGE_BYTES, Identifier, Message, encode
from domain.ports.bus import Delivery
from domain.ports.clock import Clock
from domain.ports.keys import KeyRing
from domain.producers import AGENTS, SPEAKERS, UNSEALED, Producer
from domain.refusals import Refusal
from domain.seals import Seal, fits, split
from domain.streams import Stream, partition_of
from domain.voting import TradingProposal, Vote, VoteRefused

_generic = msgspec.json.Encoder(order="sorted")


class Window(NamedTuple):
    """How far from the clock a message's time may lie."""

    past: timedelta
    future: timedelta


_PLACED = (Vote, TradingProposal)
_NOBODY: frozenset[Producer] = frozenset()
_WIDE = Window(past=timedelta.max, future=timedelta.max)


#: What a sealed message is refused for because of what it says; what else there is, who delivers
#: it can bring about: another partition, another time.
BY_ITS_BYTES = frozenset(
    {Refusal.DUPLICATE_FIELD, Refusal.NOT_CANONICAL, Refusal.FORGED_VOTE, Refusal.FORGED_MESSAGE}
)


class Refused(NamedTuple):
    """Why a message is refused, and what was found, in one sentence."""

    reason: Refusal
    found: str


class Authenticity:
    """Judges messages by their bytes as they came.

    Parameters
    ----------
    keys
        Whose seals are known.
    clock, window
        What the messages' times are held against; without a clock they are not, because they
        are of another age (a replay).
    partitions
        How many each stream has.
    """

    def __init__(
        self,
        keys: KeyRing,
        *,
        partitions: int = 1,
        clock: Clock | None = None,
        window: Window = _WIDE,
    ) -> None:
        self._keys = keys
        self._partitions = partitions
        self._clock = clock
        self._window = window

    def refusal(self, delivery: Delivery, message: Message) -> Refused | None:
        """Return why a delivery that was decoded to `message` has no effect, or None.

        What comes from outside, market data, is not held against a seal.
        """
        kind = type(message).__name__
        if kind in UNSEALED:
            return None
        if isinstance(message, VoteRefused) and message.agent_id == self.author(delivery):
            return None  # what is told of a vote that its agent's seal proves
        speakers = SPEAKERS.get(kind, _NOBODY)
        seal, body = split(delivery.data)
        return (
            self._forged(seal, body, message, speakers)
            or _ambiguous(body, message)
            or self._misplaced(delivery, message)
            or self._out_of_time(message.occurred_at)
        )

    def refused_vote(
        self, delivery: Delivery, reason: Refusal, moment: datetime | None
    ) -> VoteRefused | None:
        """Return a refused delivery as the vote of the agent whose seal it bears, at `moment`.

        None where no agent's seal proves that the bytes are its own: anybody could have that
        agent cut off by them.
        """
        if delivery.stream is not Stream.VOTES or moment is None:
            return None
        agent = self.author(delivery)
        if agent is None or agent not in AGENTS:
            return None
        # Of the bytes alone: they are held against their agent once, however often they come.
        identity = derive_id("refused", sha256(delivery.data).hexdigest())
        return VoteRefused(
            message_id=identity,
            correlation_id=identity,
            occurred_at=moment,
            agent_id=agent,
            proposal_id=_proposal_named_in(delivery.data),
            reason=reason,
        )

    def author(self, delivery: Delivery) -> Producer | None:
        """Return whose seal proves a delivery's bytes, whatever they say; None: nobody's."""
        seal, body = split(delivery.data)
        key = self._keys.find(seal.key_id) if seal is not None else None
        if seal is None or key is None or not fits(seal, body, key.secret):
            return None
        return key.producer

    def _forged(
        self, seal: Seal | None, body: bytes, message: Message, speakers: frozenset[Producer]
    ) -> Refused | None:
        """Refuse what no seal proves; another agent's is as bad as none."""
        key = self._keys.find(seal.key_id) if seal is not None else None
        if seal is None:
            found = "It carries no seal."
        elif key is None:
            found = "Its seal names a key that nobody holds."
        elif not fits(seal, body, key.secret):
            found = f"Its seal does not fit its bytes and {key.producer}'s key."
        elif key.producer not in speakers or not _own_voice(key.producer, message):
            found = f"{key.producer} sealed it, who may not say it."
        else:
            return None
        forged_vote = isinstance(message, Vote)
        return Refused(Refusal.FORGED_VOTE if forged_vote else Refusal.FORGED_MESSAGE, found)

    def _misplaced(self, delivery: Delivery, message: Message) -> Refused | None:
        """Refuse what another partition decides: no proposal is decided twice."""
        if not isinstance(message, _PLACED):
            return None
        right = partition_of(message.symbol, self._partitions)
        if right == delivery.partition:
            return None
        found = f"{message.symbol} belongs to partition {right} of {self._partitions}."
        return Refused(Refusal.WRONG_PARTITION, found)

    def _out_of_time(self, moment: datetime) -> Refused | None:
        if self._clock is None:
            return None
        ahead = moment - self._clock.now()
        if ahead > self._window.future:
            return Refused(Refusal.FROM_THE_FUTURE, f"It is {ahead} ahead of the clock.")
        if -ahead > self._window.past:
            return Refused(Refusal.FROM_THE_PAST, f"It is {-ahead} old.")
        return None


class _Named(msgspec.Struct):
    """What of a refused vote can be told: the proposal that it names."""

    proposal_id: Identifier = ""


def _proposal_named_in(data: bytes) -> str:
    """Return the proposal that a refused vote names; empty where that can't be read."""
    if len(data) > MAXIMUM_MESSAGE_BYTES:
        return ""
    try:
        named = msgspec.json.decode(split(data)[1], type=_Named).proposal_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return "" if "\0" in named else named  # no message may hold that character


def _own_voice(producer: Producer, message: Message) -> bool:
    """Whether an agent votes in its own name, or in one that the engine will not know."""
    return (
        not isinstance(message, Vote)
        or message.agent_id == producer
        or message.agent_id not in AGENTS
    )


def _ambiguous(body: bytes, message: Message) -> Refused | None:
    """Refuse what two readers could read differently: a message has one form (RFC 8785)."""
    if encode(message) == body:
        return None
    try:
        # Of an older schema version: its own form is what counts.
        canonical = _generic.encode(json.loads(body, object_pairs_hook=_distinct))
    except _Repeated as problem:
        return Refused(Refusal.DUPLICATE_FIELD, f"It has the field {problem!s:.99} twice.")
    if canonical == body:
        return None
    return Refused(Refusal.NOT_CANONICAL, "Its bytes are not the canonical JSON of what they say.")


class _Repeated(Exception):
    """A field stands twice in one object."""


def _distinct(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return fields
