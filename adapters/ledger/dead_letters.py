"""Dead letters as persons see them: each with its number, and what was done about it, once."""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Row, Select, create_engine, select
from sqlalchemy.dialects.postgresql import insert

from adapters.ledger import schema
from domain.ports.ledger import DeadLetter, LetterAction, LetterAnswer, StoredLetter
from domain.streams import Stream

_letters, _answers = schema.dead_letters, schema.dead_letter_answers


class DeadLetters:
    """The dead letters of a ledger.

    Parameters
    ----------
    url
        The ledger's address, its schema at the head.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    def found(
        self, *, stream: Stream | None = None, answered: bool = False, limit: int = 100
    ) -> Sequence[StoredLetter]:
        """Return the newest `limit` letters that wait for a person, oldest first.

        Parameters
        ----------
        answered
            Return those too about which something was done.
        """
        query = _query()
        if stream is not None:
            query = query.where(_letters.c.stream == stream)
        if not answered:
            query = query.where(_answers.c.letter.is_(None))
        query = query.order_by(_letters.c.number.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(query)][::-1]

    def get(self, number: int) -> StoredLetter | None:
        """Return the letter of that number."""
        with self._engine.connect() as connection:
            row = connection.execute(_query().where(_letters.c.number == number)).first()
        return None if row is None else _stored(row)

    def waiting_before(self, number: int) -> Sequence[StoredLetter]:
        """Return the letters of the same partition and writer that wait and came earlier."""
        this = _letters.alias("this")
        query = (
            _query()
            .join(this, this.c.number == number)
            .where(
                _letters.c.number < number,
                _letters.c.log == this.c.log,
                _letters.c.stream == this.c.stream,
                _letters.c.stream_partition == this.c.stream_partition,
                _answers.c.letter.is_(None),
            )
            .order_by(_letters.c.number)
        )
        with self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def answer(
        self,
        number: int,
        action: LetterAction,
        *,
        actor: str,
        reason: str,
        act: Callable[[], None] = lambda: None,
    ) -> bool:
        """Record an answer and do what it says; returns False where there was one before.

        Of several callers at once one acts; the others wait for it. If `act` fails, nothing is
        recorded. A crash between `act` and the commit leaves the letter unanswered though `act`
        was done, so `act` must be harmless when it is done again.
        """
        new = insert(_answers).values(letter=number, action=action, actor=actor, reason=reason)
        with self._engine.begin() as connection:
            mine = connection.execute(new.on_conflict_do_nothing().returning(_answers.c.letter))
            if mine.first() is None:
                return False
            act()
        return True

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()


def _query() -> Select[*tuple[Any, ...]]:
    answer = [column.label(f"answer_{column.name}") for column in _answers.columns]
    return select(*_letters.columns, *answer).outerjoin_from(_letters, _answers)


def _stored(row: Row[*tuple[Any, ...]]) -> StoredLetter:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row's columns
    answer = None
    if found["answer_letter"] is not None:
        answer = LetterAnswer(
            action=LetterAction(found["answer_action"]),
            actor=found["answer_actor"],
            reason=found["answer_reason"],
            recorded_at=found["answer_recorded_at"].astimezone(UTC),
        )
    return StoredLetter(
        number=found["number"],
        log=found["log"],
        letter=DeadLetter(
            stream=Stream(found["stream"]),
            partition=found["stream_partition"],
            position=found["position"],
            reason=found["reason"],
            attempts=found["attempts"],
            data=bytes(found["data"]),
            trace=found["trace"],
        ),
        recorded_at=found["recorded_at"].astimezone(UTC),
        answer=answer,
    )
