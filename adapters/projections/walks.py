"""Finding a walk by any id of it, or by the beginning of one, and reading its events."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, Select, and_, literal, select

from adapters.ledger.schema import events
from adapters.ledger.stored import read
from adapters.projections import schema
from domain.ports.ledger import Recorded
from domain.scorecards import LATE
from domain.voting import LateVote

#: What the types of events are called where an id is looked up.
_KINDS = {
    "ConsensusResult": "decision",
    "MarketData": "tick",
    "ReviewVerdict": "verdict",
    "OrderUpdated": "order event",
    "ExecutionReport": "fill",
    "Experience": "experience",
}
#: Above every character in the order of bytes.
_HIGHEST = chr(0x10FFFF)


class Match(NamedTuple):
    """An id that begins as asked, what it is of, and the walk that it belongs to."""

    id: str
    kind: str
    correlation_id: str


class Walks:
    """The walks of one ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def matches(self, beginning: str, *, limit: int = 10) -> list[Match]:
        """Return ids that begin so, at most `limit` of each kind; of whole ids only that one.

        Decisions, proposals, votes, orders, fills, ticks and every recorded message have ids.
        """
        i, d, v = schema.event_index.c, schema.decisions.c, schema.votes.c
        o, x = schema.orders.c, schema.executions.c
        queries = (
            _select(i.message_id, i.type, i.correlation_id),
            _select(i.correlation_id, literal("MarketData"), i.correlation_id).distinct(),
            _select(d.proposal_id, literal("proposal"), d.correlation_id).distinct(),
            _select(v.message_id, literal("vote"), d.correlation_id).join(
                schema.decisions, d.decision_id == v.decision_id
            ),
            _select(o.client_order_id, literal("order"), o.correlation_id),
            _select(x.execution_id, literal("fill"), o.correlation_id).join(
                schema.orders, o.client_order_id == x.client_order_id
            ),
        )
        found: set[Match] = set()
        with self._engine.connect() as connection:
            for query in queries:
                column = query.selected_columns[0]
                begins = and_(column >= beginning, column < beginning + _HIGHEST)
                rows = connection.execute(query.where(begins).order_by(column).limit(limit))
                found.update(map(_match, rows))
        whole = {match for match in found if match.id == beginning}
        return sorted(whole or found)

    def late_votes(self, correlation_id: str) -> list[LateVote]:
        """Return the votes that came after the decisions of a walk, by agent."""
        v, d, index = schema.votes.c, schema.decisions.c, schema.event_index.c
        decided = (
            select(d.proposal_id)
            .join(schema.event_index, index.message_id == d.decision_id)
            .where(index.correlation_id == correlation_id)
        )
        query = (
            select(*(v[name] for name in LateVote.__struct_fields__))
            .where(v.proposal_id.in_(decided), v.ignored_reason == LATE)
            .order_by(v.agent_id, v.message_id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [LateVote(**row) for row in rows]

    def events(self, correlation_id: str) -> list[Recorded]:
        """Return every recorded event of a walk, log by log, each in its order."""
        index = schema.event_index
        same: list[ColumnElement[bool]] = [
            events.c[name] == index.c[name] for name in ("log", "partition", "sequence")
        ]
        query = (
            select(*(events.c[n] for n in ("log", "partition", "sequence", "data", "hash")))
            .join(index, and_(*same))
            .where(index.c.correlation_id == correlation_id)
            .order_by(events.c.log, events.c.partition, events.c.sequence)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Recorded(**{**row, "data": read(row["data"])}) for row in rows]


def _match(row: Sequence[str]) -> Match:
    name, kind, walk = row
    return Match(name, _KINDS.get(kind, kind), walk)


def _select(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns)
