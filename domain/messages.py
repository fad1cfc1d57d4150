"""The envelope every message carries, and the codec that reads and writes it.

A message is a frozen `msgspec` struct. On the wire it is JSON with a ``type`` tag and a
``schema_version``. Canonical bytes (RFC 8785: sorted keys, no white space) are what gets
hashed; no message that is recorded carries a float, so they are the same on every machine.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Annotated, Any, ClassVar, TypeVar, Union

import msgspec

from domain.errors import InvalidValue, MessageRefused, UnknownSchemaVersion
from domain.refusals import Refusal, refusal_of
from domain.seals import SEALED, unsealed

MAXIMUM_MESSAGE_BYTES = 1_000_000
#: Years in which a message may have happened; arithmetic on them can't overflow.
FIRST_YEAR, LAST_YEAR = 1900, 2199
_LONGEST_SENTENCE = 300
#: NUL is JSON, but no text of PostgreSQL; a backslash may itself be escaped.
_BACKSLASH = ord("\\")  # a number is looked for five times as fast as bytes are
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

#: What decoders, a value's own checks and upcasters of malformed fields raise.
_UNDECODABLE = (
    msgspec.DecodeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    LookupError,
    TypeError,
    AttributeError,
)

#: Ids are indexed by the database, whose entries are bounded.
Identifier = Annotated[str, msgspec.Meta(max_length=200)]

AnyMessage = TypeVar("AnyMessage", bound="Message")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A frozen value inside a message."""


class Message(Value, frozen=True, kw_only=True, tag_field="type", tag=True):
    """What every message carries.

    Parameters
    ----------
    message_id
        Unique; derives from what the message says (`domain.identity.derive_id`).
    correlation_id
        The same along one walk: tick, features, proposal, votes, decision, order, fill, reward.
    causation_id
        The message that caused this one; empty for the first of a walk.
    occurred_at
        When it happened: aware, UTC.
    schema_version
        Version of this message type's fields.
    """

    VERSION: ClassVar[int] = 1

    # Fields stand in the order of their bytes: so a decoder finds each where it looks first.
    causation_id: Identifier = ""
    correlation_id: Identifier
    message_id: Identifier
    occurred_at: datetime
    schema_version: int = 1

    @property
    def timestamp(self) -> datetime:
        """When it happened; the same instant as `occurred_at`."""
        return self.occurred_at

    def __post_init__(self) -> None:
        moment = self.occurred_at  # in UTC nearly always: a decoder makes it so
        if moment.tzinfo is not UTC or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            set_field(self, "occurred_at", utc(moment, "occurred_at"))


class _MessageTypes:
    """The registry of message types, filled by `message_type`."""

    def __init__(self) -> None:
        self.decoders: dict[tuple[str, int], msgspec.json.Decoder[Message]] = {}
        self.upcasters: dict[tuple[str, int], Upcaster] = {}
        self.current: dict[str, type[Message]] = {}
        self.quick: dict[type[Message] | None, msgspec.json.Decoder[Message]] = {}

    def complete(self) -> None:
        """Add the types of modules that this process has not imported: it handles none of them."""
        import_module("domain.catalogue")

    def of_all(self) -> msgspec.json.Decoder[Message]:
        """Return the decoder of every type at its current version; kept until a type is added."""
        self.complete()
        decoder = msgspec.json.Decoder(Union[tuple(self.current.values())])  # noqa: UP007
        self.quick[None] = decoder
        return decoder


_types = _MessageTypes()


def message_type(cls: type[AnyMessage]) -> type[AnyMessage]:
    """Make (as a decorator) `cls` decodable from the wire under its name."""
    _types.current[cls.__name__] = cls
    decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cls)  # type: ignore[assignment]
    _types.decoders[cls.__name__, cls.VERSION] = _types.quick[cls] = decoder
    _types.quick.pop(None, None)
    return cls


def upcaster(name: str, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register (as a decorator) how a message of `from_version` becomes one of the next version."""

    def register(function: Upcaster) -> Upcaster:
        _types.upcasters[name, from_version] = function
        return function

    return register


def set_field(struct: msgspec.Struct, name: str, value: object) -> None:
    """Replace a field while a frozen struct is being built (its one canonical form)."""
    msgspec.structs.force_setattr(struct, name, value)


def utc(moment: datetime, name: str) -> datetime:
    """Return `moment` in UTC.

    Raises
    ------
    InvalidValue
        If it carries no time zone, or lies outside 1900 … 2199.
    """
    if moment.tzinfo is None:
        raise InvalidValue(
            f"{name} has no time zone: {moment.isoformat()}.",
            next_step="Send an aware timestamp in UTC.",
        )
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidValue(
            f"{name} lies outside {FIRST_YEAR} … {LAST_YEAR}: {moment.isoformat()}.",
            next_step="Send the time at which it happened.",
        )
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


class _Header(msgspec.Struct):
    type: str
    schema_version: int


_header = msgspec.json.Decoder(_Header)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")


def encode(message: msgspec.Struct) -> bytes:
    """Return the canonical JSON of a message or value."""
    return _encoder.encode(message)


def is_canonical(data: bytes) -> bool:
    """Whether bytes are JSON in its canonical form, whatever they say."""
    try:
        return _encoder.encode(msgspec.json.decode(data)) == data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def decode(
    data: bytes,
    likely: type[Message] | None = None,
    *,
    maximum_bytes: int = MAXIMUM_MESSAGE_BYTES,
) -> Message:
    """Return the message that `data` holds, upcast to its current version.

    Raises nothing else, whatever the bytes. A seal before the message is skipped; who needs it
    checks it (`consensus.authenticity`).

    Parameters
    ----------
    likely
        The type that it nearly always is, which saves a quarter of the time; any other is taken.
    maximum_bytes
        Longest message that is looked at.

    Raises
    ------
    MessageRefused
        If the bytes are too long, not JSON, of an unknown type, or of out-of-range values.
    UnknownSchemaVersion
        If its version is newer than this release or has no upcaster.
    """
    if len(data) > maximum_bytes:
        raise _refused(Refusal.TOO_LONG, f"{len(data)} bytes exceed the limit of {maximum_bytes}.")
    if _BACKSLASH in data and _NUL.search(data):
        raise _refused(Refusal.NUL_CHARACTER, "a text holds the character NUL.")
    if data.startswith(SEALED):
        data = unsealed(data)
    decoder = _types.quick.get(likely) or _types.of_all()
    try:
        message = decoder.decode(data)
    except _UNDECODABLE:
        return _decode_by_header(data)  # which finds another version, or says what is wrong
    return message if message.schema_version == message.VERSION else _decode_by_header(data)


def _decode_by_header(data: bytes) -> Message:
    try:
        header = _header.decode(data)
        _types.complete()
        decoder = _types.decoders.get((header.type, header.schema_version))
        if decoder is not None:
            return decoder.decode(data)
        return _upcast(header, data)
    except _UNDECODABLE as problem:
        raise _refused(refusal_of(problem), _sentence(problem)) from None


def _upcast(header: _Header, data: bytes) -> Message:
    current = _types.current.get(header.type)
    if current is None:
        raise _refused(Refusal.UNKNOWN_TYPE, f"no message type is named {header.type!r:.99}.")
    fields: dict[str, Any] = msgspec.json.decode(data)
    version = header.schema_version
    while version != current.VERSION:
        step = _types.upcasters.get((header.type, version))
        if step is None:
            raise UnknownSchemaVersion(
                f"{header.type} of schema version {header.schema_version} is not readable here "
                f"(this release writes version {current.VERSION}).",
                reason=Refusal.UNKNOWN_VERSION,
                kept="The original bytes are kept.",
                next_step="Upgrade this process, or redrive the message after the upgrade.",
            )
        version += 1
        fields = {**step(fields), "schema_version": version}
    return msgspec.convert(fields, current)


def _sentence(problem: Exception) -> str:
    """Return what is wrong, and where, at a bounded length."""
    said = problem if isinstance(problem, InvalidValue) else problem.__cause__
    if not isinstance(said, InvalidValue):
        return f"{problem!s:.{_LONGEST_SENTENCE}}."
    _, at, place = str(problem).rpartition(" - at ")
    return f"{said.what:.{_LONGEST_SENTENCE}}{at}{place:.99}"


def _refused(reason: Refusal, what: str) -> MessageRefused:
    return MessageRefused(
        f"Message refused: {what}",
        reason=reason,
        kept="The original bytes are kept.",
        next_step="Look at it with `quorum dead-letters show`, mend the sender, then redrive it.",
    )
