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

from adapters.ledger.schema import event_id, event_ids
from adapters.ledger.schema import events as _events
from adapters.ledger.stored import read
from adapters.projections import schema
from adapters.projections.figures import Figures
from adapters.projections.walks import Walks
from domain.ports.ledger import Log, Recorded

_EVENT = tuple(_events.c[name] for name in ("log", "partition", "sequence", "data", "hash"))


class Queries:
    """Questions to the read side; project first (`adapters.projections`)."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        self.figures = Figures(self._engine)
        self.walks = Walks(self._engine)

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
        table = schema.throughput
        count = func.sum(table.c.decisions).cast(BigInteger).label("decisions")
        key = (table.c.outcome, table.c.reason)
        return self._frame(select(*key, count).group_by(*key).order_by(count.desc(), *key))

    def waiting_reviews(self, *, limit: int | None = None) -> list[Recorded]:
        """Return the decisions that wait for a person's answer, oldest first."""
        waiting = schema.reviews
        query = (
            select(*_EVENT)
            .join(
                waiting,
                and_(
                    _events.c.log == Log.DECISIONS,
                    _events.c.partition == waiting.c.partition,
                    _events.c.sequence == waiting.c.sequence,
                ),
            )
            .where(waiting.c.final_id.is_(None))
            .order_by(waiting.c.occurred_at, waiting.c.partition, waiting.c.sequence)
            .limit(limit)
        )
        return self._recorded(query)

    def walk(self, identifier: str) -> list[Recorded]:
        """Return every recorded event of the walk that an id, told in full, belongs to."""
        whole = (m for m in self.walks.matches(identifier) if m.id == identifier)
        walks = {match.correlation_id for match in whole}
        return [entry for walk in sorted(walks) for entry in self.walks.events(walk)]

    def event(self, log: Log, message_id: str) -> Recorded | None:
        """Return the recorded event of that id; it need not be projected yet."""
        place = and_(
            _events.c.partition == event_ids.c.partition,
            _events.c.sequence == event_ids.c.sequence,
        )
        query = (
            select(*_EVENT)
            .join(event_ids, place)
            .where(_events.c.log == log, event_ids.c.id == event_id(log, message_id))
        )
        return next(iter(self._recorded(query)), None)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def _recorded(self, query: Select[*tuple[Any, ...]]) -> list[Recorded]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Recorded(log=log, partition=p, sequence=n, data=read(bytes(data)), hash=bytes(digest))
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
