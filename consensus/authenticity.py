"""Whether a message comes from who may say it: the last check before it has any effect.

It stands outside the engine, so what the engine decides depends on no key: a message that is
refused here never enters the journal, and one that was let in is replayed without keys.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from domain.messages import Message, encode
from domain.ports.bus import Delivery
from domain.ports.clock import Clock
from domain.ports.keys import KeyRing
from domain.producers import AGENTS, SPEAKERS, UNSEALED, Producer
from domain.refusals import Refusal
from domain.seals import Seal, fits, split
from domain.streams import partition_of
from domain.voting import TradingProposal, Vote

_generic = msgspec.json.Encoder(order="sorted")


class Window(NamedTuple):
    """How far from the clock a message's time may lie."""

    past: timedelta
    future: timedelta


_PLACED = (Vote, TradingProposal)
_NOBODY: frozenset[Producer] = frozenset()
_WIDE = Window(past=timedelta.max, future=timedelta.max)


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
        speakers = SPEAKERS.get(kind, _NOBODY)
        seal, body = split(delivery.data)
        return (
            self._forged(seal, body, message, speakers)
            or _ambiguous(body, message)
            or self._misplaced(delivery, message)
            or self._out_of_time(message.occurred_at)
        )

    def _forged(
        self, seal: Seal | None, body: bytes, message: Message, speakers: frozenset[Producer]
    ) -> Refused | None:
        """Refuse what no seal proves; another agent's is as bad as none."""
        kind = Refusal.FORGED_VOTE if isinstance(message, Vote) else Refusal.FORGED_MESSAGE
        if seal is None:
            return Refused(kind, "It carries no seal.")
        key = self._keys.find(seal.key_id)
        if key is None:
            return Refused(kind, "Its seal names a key that nobody holds.")
        if not fits(seal, body, key.secret):
            return Refused(kind, f"Its seal does not fit its bytes and {key.producer}'s key.")
        if key.producer not in speakers or not _own_voice(key.producer, message):
            return Refused(kind, f"{key.producer} sealed it, who may not say it.")
        return None

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
