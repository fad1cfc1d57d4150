"""Figures of the read side: how agents do, how much is decided, what stands now."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Engine, Select, exists, select
from sqlalchemy.dialects.postgresql import distinct_on

from adapters.projections import schema
from adapters.projections.rows import Judges
from domain.experience import Experience
from domain.latest import LatestDecision, LatestPrice
from domain.portfolio import Portfolio
from domain.scorecards import LATE, Scorecard, total

By = Literal["agent", "model", "day"]


_v, _d, _x = schema.votes.c, schema.decisions.c, schema.experiences.c
_counted = schema.votes.alias().c
_LIVED_LATE = (
    select(
        *(_v[n] for n in ("agent_id", "model_version", "score", "confidence_ppm", "bound")),
        *(_x[n] for n in ("message_id", "decision_id", "occurred_at", "symbol", "action")),
        *(_x[n] for n in ("outcome", "reward", "horizon_days", "realised")),
    )
    .join(schema.decisions, _d.proposal_id == _v.proposal_id)
    .join(schema.experiences, _x.decision_id == _d.decision_id)
    .where(
        _v.ignored_reason == LATE,
        ~exists().where(
            _counted.proposal_id == _v.proposal_id,
            _counted.agent_id == _v.agent_id,
            _counted.counted,
        ),
    )
    .ext(distinct_on(_v.proposal_id, _v.agent_id))
    .order_by(_v.proposal_id, _v.agent_id, _v.occurred_at.desc(), _v.message_id.desc())
)


class Throughput(NamedTuple):
    """Decisions of one outcome and reason in one minute of their own time."""

    minute: datetime
    outcome: str
    reason: str
    decisions: int


class Held(NamedTuple):
    """What was held after the last bar that the gateway took in."""

    occurred_at: datetime
    portfolio: Portfolio


class Latest(NamedTuple):
    """The last price and the last decision of one symbol, with their places in the logs."""

    symbol: str
    price: LatestPrice | None
    price_sequence: int
    decision: LatestDecision | None
    decision_sequence: int


class Figures:
    """Sums and last values; no question reads the logs, however long they are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def scorecards(
        self,
        judges: Judges,
        *,
        by: By = "agent",
        agent: str | None = None,
        since: date | None = None,
    ) -> list[Scorecard]:
        """Return scorecards by agent, by agent and model version, or by agent and day.

        Parameters
        ----------
        judges
            Score the votes that came late as if they had counted.
        since
            The first day (UTC); all by default.
        """
        parts = [
            msgspec.convert({**row, "squared_error_sum": int(row["squared_error_sum"])}, Scorecard)
            for row in self._mappings(_of(schema.scorecards, agent, since))
        ]
        for row in self._mappings(_of(schema.ignored_votes, agent, since)):
            reason, votes = row.pop("reason"), row.pop("votes")
            parts.append(msgspec.convert({**row, "ignored": {reason: votes}}, Scorecard))
        for lived in self._lived_late(agent, since):
            parts += judges.from_event(lived)
        groups: dict[tuple[str, ...], tuple[Scorecard, list[Scorecard]]] = {}
        for part in parts:
            name = _named(part, by)
            key = name.agent_id, name.model_version, str(name.day)
            groups.setdefault(key, (name, []))[1].append(part)
        return [total(group, name) for _, (name, group) in sorted(groups.items())]

    def throughput(self, *, minutes: int) -> list[Throughput]:
        """Return the last `minutes` minutes in which something was decided, oldest first."""
        table = schema.throughput
        last = select(table.c.minute).distinct().order_by(table.c.minute.desc()).limit(minutes)
        query = select(table).where(table.c.minute.in_(last))
        query = query.order_by(table.c.minute, table.c.outcome, table.c.reason)
        return [Throughput(**row) for row in self._mappings(query)]

    def latest(self, symbols: Sequence[str]) -> list[Latest]:
        """Return the last price and decision of symbols, by symbol."""
        table = schema.latest
        query = select(table).where(table.c.symbol.in_(symbols)).order_by(table.c.symbol)
        return [
            Latest(
                symbol=row["symbol"],
                price=row["price"] and msgspec.convert(row["price"], LatestPrice),
                price_sequence=row["price_sequence"] or 0,
                decision=row["decision"] and msgspec.convert(row["decision"], LatestDecision),
                decision_sequence=row["decision_sequence"] or 0,
            )
            for row in self._mappings(query)
        ]

    def symbols(self) -> list[str]:
        """Return every symbol that has a price or a decision."""
        table = schema.latest
        query = select(table.c.symbol).order_by(table.c.symbol)
        return [row["symbol"] for row in self._mappings(query)]

    def held(self) -> Held | None:
        """Return the portfolio as it stands; None before the first bar."""
        for row in self._mappings(select(schema.portfolio)):
            return Held(row["occurred_at"], msgspec.convert(row["portfolio"], Portfolio))
        return None

    def _lived_late(self, agent: str | None, since: date | None) -> Iterable[Experience]:
        """Yield what came of the late votes, one each: an agent's last, where none counted."""
        rows = self._mappings(_LIVED_LATE)
        for row in rows:
            name, bound = row.pop("agent_id"), row.pop("bound")
            if agent not in (None, name) or (since and row["occurred_at"].date() < since):
                continue
            yield Experience(
                correlation_id="",
                state={},
                next_state={},
                agent_contributions={},
                scores={name: row.pop("score")},
                confidences_ppm={name: row.pop("confidence_ppm")},
                bounds={} if bound is None else {name: bound},
                model_versions={name: row.pop("model_version")},
                realised={n: Decimal(v) for n, v in row.pop("realised").items()},
                **row,
            )

    def _mappings(self, query: Select[Any]) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [{str(name): _utc(value) for name, value in row.items()} for row in rows]


def _of(table: schema.Table, agent: str | None, since: date | None) -> Select[Any]:
    query = select(table)
    if agent is not None:
        query = query.where(table.c.agent_id == agent)
    return query if since is None else query.where(table.c.day >= since)


def _named(card: Scorecard, by: By) -> Scorecard:
    """Return an empty scorecard under the name of the group that `card` belongs to."""
    return Scorecard(
        agent_id=card.agent_id,
        model_version=card.model_version if by == "model" else "",
        day=card.day if by == "day" else None,
    )


def _utc(value: object) -> Any:  # noqa: ANN401 - whatever a cell holds
    return value.astimezone(UTC) if isinstance(value, datetime) else value
