"""Deciding again what was decided, under the present code, and naming every difference.

Where the journal still has all that the engine heard, an engine hears it again, and every event
must come out byte for byte. Where it has not, each decision is made again from what the log itself
holds (`consensus.redecision`).
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import cast

import msgspec

from consensus.engine import Engine
from consensus.redecision import Redecision
from domain.messages import Message, Value, decode, encode
from domain.ports.ledger import DecisionEvent, Ignored, Ledger, Log, Recorded

_PAGE = 1000
_ABSENT = "absent"


class Difference(Value, frozen=True, kw_only=True):
    """One field, as JSON, that came out differently; ``absent`` where only one side has it."""

    field: str
    recorded: str
    again: str


class Divergence(Value, frozen=True, kw_only=True):
    """One event that came out differently, was not made again, or is not on record.

    Parameters
    ----------
    sequence
        Where it stands in its partition; absent where it is not on record.
    """

    partition: int
    sequence: int | None
    message_id: str
    type: str
    occurred_at: datetime
    differences: tuple[Difference, ...]


class Interval(Value, frozen=True, kw_only=True):
    """The instants from `since` on and before `until`; open where one is absent."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (
            self.until is None or moment < self.until
        )


class Replayed(Value, frozen=True, kw_only=True):
    """What a replay of one partition did.

    Parameters
    ----------
    method
        ``inputs`` or ``content``.
    events
        Recorded events of the interval that were compared.
    """

    partition: int
    method: str
    events: int
    divergences: tuple[Divergence, ...]


async def replay(
    ledger: Ledger, partition: int, interval: Interval, *, content: bool = False
) -> Replayed:
    """Make a partition's decisions of an interval again.

    Parameters
    ----------
    content
        Use what the log holds even where the journal has the inputs.
    """
    comparison = _Comparison(partition, interval)
    first = await ledger.inputs(Log.DECISIONS, partition, limit=1)
    if content or not first or first[0].number != 1:
        redecision = Redecision()
        async for entry in _recorded(ledger, partition):
            comparison.compare(entry, redecision.again(entry.data))
        return comparison.result("content")
    made = _made_again(ledger, partition)
    async for entry in _recorded(ledger, partition):
        comparison.on_record(entry)
        if (event := await anext(made, None)) is not None:
            comparison.made_again(event)
    async for event in made:
        comparison.made_again(event)
    return comparison.result("inputs")


async def _recorded(ledger: Ledger, partition: int) -> AsyncIterator[Recorded]:
    after = 0
    while page := await ledger.events(Log.DECISIONS, partition, after=after, limit=_PAGE):
        for entry in page:
            yield entry
        after = page[-1].sequence


async def _made_again(ledger: Ledger, partition: int) -> AsyncIterator[DecisionEvent]:
    engine, after = Engine(), 0
    while page := await ledger.inputs(Log.DECISIONS, partition, after=after, limit=_PAGE):
        for entry in page:
            for event in engine.apply(decode(entry.data)):
                if not isinstance(event, Ignored):
                    yield event
        after = page[-1].number


class _Heading(msgspec.Struct):
    """What names a recorded event."""

    message_id: str
    occurred_at: datetime


_heading = msgspec.json.Decoder(_Heading)


class _Comparison:
    """Events on record beside events made again, matched by their ids.

    Both come in the same order unless something diverges, so what waits for its match is little.
    """

    def __init__(self, partition: int, interval: Interval) -> None:
        self._partition = partition
        self._interval = interval
        self._bounded = interval != Interval()
        self._recorded: dict[str, Recorded] = {}
        self._again: dict[str, DecisionEvent] = {}
        self._divergences: list[Divergence] = []
        self._events = 0

    def on_record(self, entry: Recorded) -> None:
        key = _heading.decode(entry.data).message_id
        if (event := self._again.pop(key, None)) is not None:
            self.compare(entry, encode(event))
        else:
            self._recorded[key] = entry

    def made_again(self, event: DecisionEvent) -> None:
        entry = self._recorded.pop(event.message_id, None)
        if entry is not None:
            self.compare(entry, encode(event))
        else:
            self._again[event.message_id] = event

    def compare(self, entry: Recorded, again: bytes | None) -> None:
        """Take in an event on record, and the bytes that it has now; None if it is not made."""
        if self._bounded and _heading.decode(entry.data).occurred_at not in self._interval:
            return
        self._events += 1
        if again != entry.data:
            now = None if again is None else decode(again)
            self._diverge(entry.message, now, entry.sequence)

    def result(self, method: str) -> Replayed:
        for entry in self._recorded.values():
            self.compare(entry, None)
        for event in self._again.values():
            if event.occurred_at in self._interval:
                self._diverge(None, event, None)
        return Replayed(
            partition=self._partition,
            method=method,
            events=self._events,
            divergences=tuple(self._divergences),
        )

    def _diverge(
        self, recorded: Message | None, again: Message | None, sequence: int | None
    ) -> None:
        event = recorded or again
        if event is None:
            raise AssertionError("one of the two is there")
        self._divergences.append(
            Divergence(
                partition=self._partition,
                sequence=sequence,
                message_id=event.message_id,
                type=type(event).__name__,
                occurred_at=event.occurred_at,
                differences=differences(recorded, again),
            )
        )


def differences(recorded: Message | None, again: Message | None) -> tuple[Difference, ...]:
    """Return the fields in which two messages differ, in the order of their paths."""
    before, after = _leaves(recorded), _leaves(again)
    return tuple(
        Difference(field=path, recorded=before.get(path, _ABSENT), again=after.get(path, _ABSENT))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    )


def _leaves(message: Message | None) -> dict[str, str]:
    """Return path → value as JSON of all that a message holds."""
    if message is None:
        return {}
    found: dict[str, str] = {}

    def walk(path: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for name, inner in cast("dict[str, object]", value).items():
                walk(f"{path}.{name}" if path else name, inner)
        elif isinstance(value, list) and value:
            for number, inner in enumerate(cast("list[object]", value)):
                walk(f"{path}[{number}]", inner)
        else:
            found[path] = msgspec.json.encode(value).decode()

    walk("", msgspec.json.decode(encode(message)))
    return found
