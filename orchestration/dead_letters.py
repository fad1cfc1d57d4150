"""Dead letters of the platform in the state folder: look at them, redrive them, discard them."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from adapters.bus import open_bus
from adapters.embedded.servers import ServerName
from adapters.ledger import migrate
from adapters.ledger.dead_letters import DeadLetters
from adapters.profile import connected
from domain.errors import InvalidValue
from domain.ports.ledger import DeadLetter, LetterAction, StoredLetter
from domain.producers import Producer
from domain.seals import split
from domain.settings import Settings
from domain.streams import Stream

#: A letter with the answer that stands, and whether this call gave it.
Handled = tuple[StoredLetter, bool]


def find_letters(
    settings: Settings, *, stream: Stream | None, answered: bool, limit: int
) -> Sequence[StoredLetter]:
    """Return the newest letters, oldest first; see `DeadLetters.found`."""
    with _opened(settings, ("postgres",)) as (_, letters):
        return letters.found(stream=stream, answered=answered, limit=limit)


def find_letter(settings: Settings, number: int) -> StoredLetter:
    """Return one letter.

    Raises
    ------
    InvalidValue
        If there is none of that number.
    """
    with _opened(settings, ("postgres",)) as (_, letters):
        return _demand(letters, number)


def redrive(
    settings: Settings, numbers: Sequence[int], *, actor: str, reason: str = ""
) -> list[Handled]:
    """Put letters back on their streams, bytes as they came, in the order of their numbers.

    Each goes to the end of its partition: behind what came since, also of its own symbol, and
    in the old order among themselves. A letter that was redriven before is left alone. After a
    crash between publishing and recording the bytes may stand there twice; consumers drop the
    second by its message id.

    Raises
    ------
    InvalidValue
        If a number is unknown, its letter was discarded, or an earlier letter of its symbol
        waits and is not among `numbers`.
    """
    with _opened(settings, ("postgres", "valkey")) as (ready, letters):
        for number in numbers:
            _not_otherwise(_demand(letters, number), LetterAction.REDRIVEN)
            _none_overtaken(letters, number, numbers)
        handled: list[Handled] = []
        for number in sorted(set(numbers)):
            letter = _demand(letters, number).letter
            done = letters.answer(
                number,
                LetterAction.REDRIVEN,
                actor=actor,
                reason=reason,
                act=partial(_publish, ready, letter),
            )
            handled.append((_answered(letters, number, LetterAction.REDRIVEN), done))
        return handled


def discard(
    settings: Settings, numbers: Sequence[int], *, actor: str, reason: str
) -> list[Handled]:
    """Record that letters are of no use; they stay on record.

    Raises
    ------
    InvalidValue
        If a number is unknown, or its letter was redriven.
    """
    action = LetterAction.DISCARDED
    with _opened(settings, ("postgres",)) as (_, letters):
        for number in numbers:
            _not_otherwise(_demand(letters, number), action)
        handled: list[Handled] = []
        for number in sorted(set(numbers)):
            done = letters.answer(number, action, actor=actor, reason=reason)
            handled.append((_answered(letters, number, action), done))
        return handled


@contextmanager
def _opened(
    settings: Settings, servers: Sequence[ServerName]
) -> Generator[tuple[Settings, DeadLetters]]:
    with connected(settings, servers=servers, producer=Producer.OPERATOR) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        letters = DeadLetters(url)
        try:
            yield ready, letters
        finally:
            letters.close()


def _demand(letters: DeadLetters, number: int) -> StoredLetter:
    stored = letters.get(number)
    if stored is None:
        raise InvalidValue(
            f"No dead letter has the number {number}.",
            next_step="`quorum dead-letters list --all` lists them.",
        )
    return stored


def _answered(letters: DeadLetters, number: int, action: LetterAction) -> StoredLetter:
    stored = _demand(letters, number)
    _not_otherwise(stored, action)  # somebody may have been quicker
    return stored


def _not_otherwise(stored: StoredLetter, action: LetterAction) -> None:
    answer = stored.answer
    if answer is not None and answer.action is not action:
        raise InvalidValue(
            f"Dead letter {stored.number} was {answer.action} by {answer.actor} at "
            f"{answer.recorded_at:%Y-%m-%d %H:%M:%S} UTC already.",
            next_step=f"Look at it by `quorum dead-letters show {stored.number}`.",
        )


def _none_overtaken(letters: DeadLetters, number: int, numbers: Sequence[int]) -> None:
    """Refuse to redrive a letter past an earlier one of its symbol."""
    stored = _demand(letters, number)
    symbol = _symbol(stored.letter.data)
    if stored.answer is not None or not symbol:
        return
    for earlier in letters.waiting_before(number):
        if earlier.number not in numbers and _symbol(earlier.letter.data) == symbol:
            raise InvalidValue(
                f"Dead letter {earlier.number} of {symbol} came before {number} and waits.",
                next_step=f"Redrive both at once, or discard {earlier.number} first.",
            )


class _OfSymbol(msgspec.Struct):
    """What an unreadable message may still tell."""

    symbol: str = ""


def _symbol(data: bytes) -> str:
    """Return the symbol that a letter's bytes name, where they can be read so far."""
    try:
        return msgspec.json.decode(split(data)[1], type=_OfSymbol).symbol
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _publish(settings: Settings, letter: DeadLetter) -> None:
    async def put_back() -> None:
        bus = open_bus(settings)
        try:
            await bus.publish_raw(letter.stream, letter.partition, letter.data)
        finally:
            await bus.close()

    asyncio.run(put_back())
