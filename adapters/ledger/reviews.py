"""What coordinates the persons and processes of a review desk.

Nothing here changes an outcome: that lies in the log (`consensus.review`). A claim keeps two
persons from reading the same review at the same time, and a notice from being sent twice; losing
either table costs a repeated look or message. So they are plain rows, changed in one conditional
statement each, on the database's clock, which all processes share.
"""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Interval,
    Row,
    case,
    create_engine,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from adapters.ledger import schema
from adapters.ledger.stored import read
from domain.messages import Message, decode
from domain.ports.ledger import Log
from domain.review import Claim

_claims, _notices, _events = schema.review_claims, schema.review_notices, schema.events


class ReviewTables:
    """Claims and notices, and the recorded events of a review.

    Parameters
    ----------
    url
        The ledger's address, its schema at the head.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    def events(self, message_ids: Sequence[str]) -> dict[str, Message]:
        """Return id → event of the log of decisions, where it is recorded."""
        query = select(*_events.columns).where(
            _events.c.log == Log.DECISIONS, _events.c.message_id.in_(message_ids)
        )
        with self._engine.connect() as connection:
            return {
                row.message_id: decode(read(bytes(row.data))) for row in connection.execute(query)
            }

    def claim(self, decision_id: str, actor: str, seconds: float) -> Claim:
        """Take or renew a claim, and return the one that stands: this actor's, or another's."""
        new = insert(_claims).values(
            decision_id=decision_id,
            actor=actor,
            claimed_at=func.now(),
            expires_at=func.now() + _interval(seconds),
        )
        mine = (_claims.c.actor == actor) & (_claims.c.expires_at > func.now())
        taken = new.on_conflict_do_update(
            index_elements=[_claims.c.decision_id],
            set_={
                "actor": actor,
                "claimed_at": case((mine, _claims.c.claimed_at), else_=func.now()),
                "expires_at": new.excluded.expires_at,
            },
            where=(_claims.c.actor == actor) | (_claims.c.expires_at <= func.now()),
        ).returning(*_claims.columns)
        standing = select(*_claims.columns).where(_claims.c.decision_id == decision_id)
        with self._engine.begin() as connection:
            row = connection.execute(taken).first() or connection.execute(standing).one()
        return _claim(row)

    def release(self, decision_id: str, actor: str) -> None:
        """End a claim, if this actor holds it."""
        mine = (_claims.c.decision_id == decision_id) & (_claims.c.actor == actor)
        with self._engine.begin() as connection:
            connection.execute(
                _claims.update()
                .where(mine, _claims.c.expires_at > func.now())
                .values(expires_at=func.now())
            )

    def claims(self, decision_ids: Sequence[str]) -> dict[str, Claim]:
        """Return decision → claim, where one stands."""
        query = select(*_claims.columns).where(
            _claims.c.decision_id.in_(decision_ids), _claims.c.expires_at > func.now()
        )
        with self._engine.connect() as connection:
            return {row.decision_id: _claim(row) for row in connection.execute(query)}

    def attempt(self, notice_id: str, *, most: int, pause_seconds: float) -> int:
        """Return which attempt to deliver a notice the caller must make now; 0: none.

        Attempts are counted before they are made, so a process that dies in one does not make it
        for ever, and no two make the same one. The pause after each is twice the one before.

        Parameters
        ----------
        most
            Attempts after which the notice is given up.
        pause_seconds
            The first pause; longer than an attempt can take.
        """
        doubled = func.power(literal(2.0, Float), _notices.c.attempts)
        new = insert(_notices).values(
            notice_id=notice_id, attempts=1, next_attempt_at=func.now() + _interval(pause_seconds)
        )
        mine = new.on_conflict_do_update(
            index_elements=[_notices.c.notice_id],
            set_={
                "attempts": _notices.c.attempts + 1,
                "next_attempt_at": func.now() + _interval(pause_seconds * doubled),
            },
            where=_notices.c.delivered_at.is_(None)
            & (_notices.c.attempts < most)
            & (_notices.c.next_attempt_at <= func.now()),
        ).returning(_notices.c.attempts)
        with self._engine.begin() as connection:
            return connection.execute(mine).scalar() or 0

    def delivered(self, notice_id: str) -> None:
        """Mark a notice as delivered; it is not sent again."""
        with self._engine.begin() as connection:
            connection.execute(
                _notices.update()
                .where(_notices.c.notice_id == notice_id)
                .values(delivered_at=func.now())
            )

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()


def _interval(seconds: float | ColumnElement[float]) -> ColumnElement[timedelta]:
    years = months = weeks = days = hours = minutes = 0
    return func.make_interval(years, months, weeks, days, hours, minutes, seconds, type_=Interval)


def _claim(row: Row[*tuple[Any, ...]]) -> Claim:
    return Claim(
        decision_id=row.decision_id,
        actor=row.actor,
        claimed_at=row.claimed_at.astimezone(UTC),
        expires_at=row.expires_at.astimezone(UTC),
    )
