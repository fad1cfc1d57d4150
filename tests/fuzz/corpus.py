"""Valid bytes to begin from, and what must hold of every decoder, whatever bytes it gets."""

from collections.abc import Callable

import msgspec

from consensus.authenticity import Authenticity
from consensus.letters import letter_in
from domain.errors import MessageRefused
from domain.messages import Message, decode, encode
from domain.ports.bus import Delivery
from domain.ports.keys import Key
from domain.ports.ledger import DeadLetter
from domain.producers import UNSEALED, Producer
from domain.refusals import Refusal
from domain.seals import key_id, seal, split
from domain.streams import Stream
from tests.builders import proposal, tick, verdict, votes

SECRET = bytes(range(32))
KEY = Key(Producer.MARKET_ANALYST, SECRET)

MESSAGES = tuple(encode(m) for m in (proposal(), *votes(), tick(1), verdict("d")))
LETTER = encode(
    DeadLetter(
        stream=Stream.VOTES,
        partition=0,
        position="1-0",
        reason=Refusal.FAULT,
        attempts=1,
        data=b"\xff",
        trace="why",
        by="agent.execution",
    )
)
CORPUS = (*MESSAGES, *(seal(m, SECRET) for m in MESSAGES), LETTER)


class Ring:
    """One producer's key."""

    def find(self, name: bytes) -> Key | None:
        return KEY if name == key_id(SECRET) else None


AUTHENTICITY = Authenticity(Ring())


def delivered(data: bytes) -> Delivery:
    return Delivery(stream=Stream.VOTES, partition=0, position="1-0", data=data)


def decoded(data: bytes) -> Message | MessageRefused:
    try:
        return decode(data)
    except MessageRefused as refused:
        return refused


def a_message_or_a_typed_refusal(data: bytes) -> None:
    """Any bytes are a message, which is the same again from its own bytes, or are refused."""
    message = decoded(data)
    if isinstance(message, MessageRefused):
        assert isinstance(message.reason, Refusal)
        assert len(message.what) < 1000
        message.what.encode()
        return
    canonical = encode(message)
    assert decode(canonical) == message
    assert encode(decode(canonical)) == canonical
    assert b"\\u0000" not in canonical.replace(rb"\\", b"")


def nothing_unsealed_is_let_in(data: bytes) -> None:
    """Whatever is let in bears the right seal on exactly these bytes."""
    message = decoded(data)
    if isinstance(message, MessageRefused) or type(message).__name__ in UNSEALED:
        return
    if AUTHENTICITY.refusal(delivered(data), message) is None:
        _, body = split(data)
        assert seal(body, SECRET) == data


def a_letter_whatever_it_says(data: bytes) -> None:
    """What stands on the stream of dead letters can always be recorded."""
    letter = letter_in(delivered(data))
    for text in (letter.reason, letter.trace, letter.by, letter.position):
        assert b"\0" not in text.encode()
    assert msgspec.json.decode(encode(letter), type=DeadLetter) == letter


CHECKS: tuple[Callable[[bytes], None], ...] = (
    a_message_or_a_typed_refusal,
    nothing_unsealed_is_let_in,
    a_letter_whatever_it_says,
)
