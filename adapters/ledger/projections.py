"""Filling the read side from the logs: again from the start at will, with the same rows."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Table, create_engine, select, text
from sqlalchemy.dialects.postgresql import insert

from adapters.ledger import schema
from domain.experience import Experience
from domain.identity import derive_id
from domain.messages import Message, decode
from domain.money import ZERO
from domain.orders import ExecutionReport, OrderUpdated
from domain.portfolio import PortfolioUpdated
from domain.ports.ledger import Log, Recorded
from domain.voting import ConsensusResult

_BATCH = 1000
_PROJECTED = (
    schema.event_index,
    schema.decisions,
    schema.votes,
    schema.orders,
    schema.executions,
    schema.equity,
    schema.experiences,
)
_Row = tuple[Table, dict[str, Any]]


def project(url: str, *, rebuild: bool = False) -> int:
    """Project what the logs hold beyond the last call; returns the number of events.

    Safe to call from several processes: each partition is projected by one at a time, a batch
    and its mark in one transaction.

    Parameters
    ----------
    url
        The ledger's address.
    rebuild
        Empty the read side first.
    """
    engine = create_engine(url)
    try:
        if rebuild:
            with engine.begin() as connection:
                for table in (*_PROJECTED, schema.projection_heads):
                    connection.execute(table.delete())
        with engine.connect() as connection:
            places = connection.execute(
                text("SELECT log, partition FROM ledger.heads ORDER BY log, partition")
            ).all()
        return sum(_project_partition(engine, log, partition) for log, partition in places)
    finally:
        engine.dispose()


def _project_partition(engine: Engine, log: str, partition: int) -> int:
    projected = 0
    while True:
        with engine.begin() as connection:
            batch = _next_batch(connection, log, partition)
            _write(connection, chain.from_iterable(map(_rows, batch)))
        projected += len(batch)
        if len(batch) < _BATCH:
            return projected


def _next_batch(connection: Connection, log: str, partition: int) -> list[Recorded]:
    """Return the next events and move the mark behind them."""
    heads = schema.projection_heads
    mine = (heads.c.log == log) & (heads.c.partition == partition)
    new = insert(heads).values(log=log, partition=partition, sequence=0)
    connection.execute(new.on_conflict_do_nothing())
    after = connection.execute(select(heads.c.sequence).where(mine).with_for_update()).scalar_one()
    events = schema.events
    rows = connection.execute(
        select(events.c.sequence, events.c.data, events.c.hash)
        .where(events.c.log == log, events.c.partition == partition, events.c.sequence > after)
        .order_by(events.c.sequence)
        .limit(_BATCH)
    ).all()
    if rows:
        connection.execute(heads.update().where(mine).values(sequence=rows[-1][0]))
    return [
        Recorded(log=log, partition=partition, sequence=n, data=data, hash=digest)
        for n, data, digest in rows
    ]


def _write(connection: Connection, rows: Iterable[_Row]) -> None:
    by_table: dict[Table, list[dict[str, Any]]] = {}
    for table, row in rows:
        by_table.setdefault(table, []).append(row)
    for table, values in by_table.items():
        statement = insert(table)
        if table is schema.orders:
            changing = ("quantity", "status", "reason", "denied_by", "updated_at")
            statement = statement.on_conflict_do_update(
                index_elements=[table.c.client_order_id],
                set_={name: statement.excluded[name] for name in changing},
            )
        else:
            statement = statement.on_conflict_do_nothing()
        connection.execute(statement, values)


def _rows(entry: Recorded) -> Iterator[_Row]:
    event = decode(entry.data)
    yield schema.event_index, _index_row(entry, event)
    match event:
        # The orders log repeats the decisions that it acted on.
        case ConsensusResult() if entry.log == Log.DECISIONS:
            yield schema.decisions, _decision_row(entry, event)
            if event.decision_id == derive_id("decision", event.proposal.proposal_id):
                yield from ((schema.votes, row) for row in _vote_rows(event))
        case OrderUpdated():
            yield schema.orders, _order_row(event)
        case ExecutionReport():
            yield schema.executions, _execution_row(event)
        case PortfolioUpdated():
            yield schema.equity, _equity_row(entry, event)
        case Experience():
            yield schema.experiences, _experience_row(event)
        case _:
            pass


def _index_row(entry: Recorded, event: Message) -> dict[str, Any]:
    return {
        "log": entry.log,
        "partition": entry.partition,
        "sequence": entry.sequence,
        "message_id": event.message_id,
        "correlation_id": event.correlation_id,
        "type": type(event).__name__,
    }


def _decision_row(entry: Recorded, event: ConsensusResult) -> dict[str, Any]:
    proposal = event.proposal
    return {
        "decision_id": event.decision_id,
        "proposal_id": proposal.proposal_id,
        "correlation_id": event.correlation_id,
        "occurred_at": event.occurred_at,
        "symbol": proposal.symbol,
        "action": proposal.action,
        "quantity": proposal.quantity,
        "reference_price": proposal.reference_price,
        "price_target": proposal.price_target,
        "proposal_confidence_ppm": proposal.confidence_ppm,
        "proposal_rationale": proposal.rationale,
        "proposal_model": proposal.model_version,
        "data_version": proposal.data_version,
        "outcome": event.outcome,
        "reason": event.reason,
        "weighted_score": event.weighted_score,
        "variance": event.variance,
        "participation": event.participation,
        "degraded": event.degraded,
        "rule_version": event.rule_version,
        "partition": entry.partition,
        "sequence": entry.sequence,
    }


def _vote_rows(event: ConsensusResult) -> Iterator[dict[str, Any]]:
    same = {
        "proposal_id": event.proposal.proposal_id,
        "decision_id": event.decision_id,
        "occurred_at": event.occurred_at,
        "symbol": event.proposal.symbol,
    }
    for counted in event.counted:
        yield same | {
            "message_id": counted.message_id,
            "agent_id": counted.agent_id,
            "counted": True,
            "ignored_reason": "",
            "score": counted.score,
            "confidence_ppm": counted.confidence_ppm,
            "weight": counted.weight,
            "rationale": counted.rationale,
            "veto": counted.veto,
            "model_version": counted.model_version,
        }
    for ignored in event.ignored:
        yield same | {
            "message_id": ignored.message_id,
            "agent_id": ignored.agent_id,
            "counted": False,
            "ignored_reason": ignored.reason,
            "score": None,
            "confidence_ppm": None,
            "weight": None,
            "rationale": "",
            "veto": "",
            "model_version": "",
        }


def _order_row(event: OrderUpdated) -> dict[str, Any]:
    order = event.order
    return {
        "client_order_id": order.client_order_id,
        "decision_id": order.decision_id,
        "correlation_id": event.correlation_id,
        "symbol": order.symbol,
        "side": order.side,
        "quantity": order.quantity,
        "arrival_price": order.arrival_price,
        "status": event.status,
        "reason": event.reason,
        "denied_by": event.denial.control if event.denial else "",
        "created_at": order.created_at,
        "updated_at": event.occurred_at,
    }


def _execution_row(event: ExecutionReport) -> dict[str, Any]:
    names = [c.name for c in schema.executions.columns]
    return {name: getattr(event, name) for name in names}


def _equity_row(entry: Recorded, event: PortfolioUpdated) -> dict[str, Any]:
    portfolio = event.portfolio
    return {
        "partition": entry.partition,
        "sequence": entry.sequence,
        "occurred_at": event.occurred_at,
        "equity": portfolio.equity,
        "cash": portfolio.cash,
        "reserved": portfolio.reserved,
        "gross_exposure": sum((abs(p.market_value) for p in portfolio.positions), ZERO),
    }


def _experience_row(event: Experience) -> dict[str, Any]:
    names = [c.name for c in schema.experiences.columns]
    return {name: _plain(getattr(event, name)) for name in names}


def _plain(value: object) -> object:
    """Return a mapping as JSON values (decimals as text, exactly); anything else as it is."""
    return msgspec.to_builtins(value) if isinstance(value, dict) else value
