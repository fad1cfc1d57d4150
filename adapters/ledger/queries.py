"""Reading the projections: frames to look at, and exact events to explain from.

Frames hold numbers as Float64 and instants in UTC; what must be exact is read as events.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    Numeric,
    Select,
    Table,
    and_,
    create_engine,
    func,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from adapters.ledger import schema
from domain.ports.ledger import Log, Recorded
from domain.voting import Outcome

_EVENT = tuple(schema.events.c[name] for name in ("log", "partition", "sequence", "data", "hash"))


class Queries:
    """Questions to the read side; project first (`adapters.ledger.projections.project`)."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    def decisions(
        self,
        *,
        symbol: str | None = None,
        outcome: str | None = None,
        reason: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
    ) -> pl.DataFrame:
        """Return decisions with start ≤ occurred_at < end, in order; the last `limit` of them."""
        table = schema.decisions
        query = select(table)
        for column, wanted in (
            (table.c.symbol, symbol),
            (table.c.outcome, outcome),
            (table.c.reason, reason),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        query = _within(query, table, start, end)
        newest_first = (table.c.occurred_at.desc(), table.c.partition, table.c.sequence.desc())
        frame = self._frame(query.order_by(*newest_first).limit(limit))
        return frame.reverse()

    def decision(self, identifier: str) -> dict[str, pl.DataFrame]:
        """Return a decision (by its id or its proposal's) with votes, orders and executions.

        All frames are empty when there is none of that id.
        """
        d, v, o, x = schema.decisions, schema.votes, schema.orders, schema.executions
        found = select(d.c.proposal_id).where(
            or_(d.c.decision_id == identifier, d.c.proposal_id == identifier)
        )
        decided = select(d.c.decision_id).where(d.c.proposal_id.in_(found))
        return {
            "decisions": self._frame(
                select(d).where(d.c.proposal_id.in_(found)).order_by(d.c.occurred_at, d.c.sequence)
            ),
            "votes": self._frame(
                select(v).where(v.c.proposal_id.in_(found)).order_by(v.c.agent_id, v.c.message_id)
            ),
            "orders": self._frame(
                select(o).where(o.c.decision_id.in_(decided)).order_by(o.c.client_order_id)
            ),
            "executions": self._frame(
                select(x).where(x.c.decision_id.in_(decided)).order_by(x.c.execution_id)
            ),
        }

    def votes(
        self,
        *,
        agent: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pl.DataFrame:
        """Return votes, counted and ignored, in order of their decisions."""
        table = schema.votes
        query = select(table) if agent is None else select(table).where(table.c.agent_id == agent)
        query = _within(query, table, start, end)
        return self._frame(
            query.order_by(table.c.occurred_at, table.c.decision_id, table.c.agent_id)
        )

    def orders(self, *, symbol: str | None = None, status: str | None = None) -> pl.DataFrame:
        """Return orders as they stand, oldest first."""
        table = schema.orders
        query = select(table)
        if symbol is not None:
            query = query.where(table.c.symbol == symbol)
        if status is not None:
            query = query.where(table.c.status == status)
        return self._frame(query.order_by(table.c.created_at, table.c.client_order_id))

    def executions(self, *, symbol: str | None = None) -> pl.DataFrame:
        """Return fills, oldest first."""
        table = schema.executions
        query = select(table) if symbol is None else select(table).where(table.c.symbol == symbol)
        return self._frame(query.order_by(table.c.executed_at, table.c.execution_id))

    def equity(self, *, start: datetime | None = None, end: datetime | None = None) -> pl.DataFrame:
        """Return the portfolio's value over time, one row a portfolio event."""
        table = schema.equity
        query = _within(select(table), table, start, end)
        return self._frame(query.order_by(table.c.occurred_at, table.c.sequence))

    def experiences(
        self, *, start: datetime | None = None, end: datetime | None = None
    ) -> pl.DataFrame:
        """Return experiences, oldest first; mappings are JSON text."""
        table = schema.experiences
        query = _within(select(table), table, start, end)
        return self._frame(query.order_by(table.c.occurred_at, table.c.message_id))

    def outcomes(self) -> pl.DataFrame:
        """Return how many decisions came out how, and why: outcome, reason, decisions."""
        table = schema.decisions
        count = func.count().label("decisions")
        key = (table.c.outcome, table.c.reason)
        return self._frame(select(*key, count).group_by(*key).order_by(count.desc(), *key))

    def walk(self, identifier: str) -> list[Recorded]:
        """Return every recorded event of the walk that `identifier` belongs to.

        Parameters
        ----------
        identifier
            Of a decision, a proposal, an order, a fill, a bar, or of any recorded message.
        """
        index, d, o = schema.event_index, schema.decisions, schema.orders
        x = schema.executions
        correlation = (
            select(index.c.correlation_id)
            .where(or_(index.c.message_id == identifier, index.c.correlation_id == identifier))
            .union(
                select(d.c.correlation_id).where(d.c.proposal_id == identifier),
                select(o.c.correlation_id).where(o.c.client_order_id == identifier),
                select(o.c.correlation_id)
                .join(x, x.c.client_order_id == o.c.client_order_id)
                .where(x.c.execution_id == identifier),
            )
        )
        events = schema.events
        key = (events.c.log, events.c.partition, events.c.sequence)
        query = (
            select(*_EVENT)
            .join(
                index,
                and_(*(column == index.c[column.name] for column in key)),
            )
            .where(index.c.correlation_id.in_(correlation))
            .order_by(*key)
        )
        return self._events(query)

    def waiting_reviews(self, *, limit: int | None = None) -> list[Recorded]:
        """Return the decisions that wait for a person's answer, oldest first."""
        waiting, final, events = schema.decisions, schema.decisions.alias(), schema.events
        place = and_(
            events.c.partition == waiting.c.partition, events.c.sequence == waiting.c.sequence
        )
        answered = select(final.c.decision_id).where(
            final.c.proposal_id == waiting.c.proposal_id,
            final.c.decision_id != waiting.c.decision_id,
        )
        query = (
            select(*_EVENT)
            .join(waiting, place)
            .where(events.c.log == Log.DECISIONS)
            .where(waiting.c.outcome == Outcome.MANUAL_REVIEW, ~answered.exists())
            .order_by(waiting.c.occurred_at, waiting.c.partition, waiting.c.sequence)
            .limit(limit)
        )
        return self._events(query)

    def event(self, log: Log, message_id: str) -> Recorded | None:
        """Return the recorded event of that id; it need not be projected yet."""
        events, ids = schema.events, schema.event_ids
        place = and_(events.c.partition == ids.c.partition, events.c.sequence == ids.c.sequence)
        query = (
            select(*_EVENT)
            .join(ids, place)
            .where(events.c.log == log, ids.c.id == schema.event_id(log, message_id))
        )
        return next(iter(self._events(query)), None)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def _events(self, query: Select[*tuple[Any, ...]]) -> list[Recorded]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Recorded(log=log, partition=p, sequence=n, data=bytes(data), hash=bytes(digest))
            for log, p, n, data, digest in rows
        ]

    def _frame(self, query: Select[*tuple[Any, ...]]) -> pl.DataFrame:
        columns = {c.name: _polars_type(c.type) for c in query.selected_columns}
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        converted = [tuple(_cell(value) for value in row) for row in rows]
        return pl.DataFrame(converted, schema=columns, orient="row")


def _within(
    query: Select[Any], table: Table, start: datetime | None, end: datetime | None
) -> Select[Any]:
    if start is not None:
        query = query.where(table.c.occurred_at >= start)
    if end is not None:
        query = query.where(table.c.occurred_at < end)
    return query


def _polars_type(kind: TypeEngine[Any]) -> pl.DataType:
    match kind:
        case Boolean():
            return pl.Boolean()
        case Integer() | BigInteger():
            return pl.Int64()
        case Numeric():
            return pl.Float64()
        case DateTime():
            return pl.Datetime("us", "UTC")
        case _:
            return pl.String()


def _cell(value: object) -> object:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return value.astimezone(UTC)
        case dict():
            return msgspec.json.encode(value, order="sorted").decode()
        case _:
            return value
