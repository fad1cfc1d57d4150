"""Logs for the read side's tests: what an engine and a gateway would have recorded."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

import psycopg
from msgspec.structs import replace

from adapters.ledger import PostgresLedger
from consensus.engine import Engine, Rules
from domain.experience import Experience
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import Message
from domain.orders import ExecutionReport, Order, OrderStatus, OrderUpdated, Side
from domain.portfolio import Portfolio, PortfolioUpdated, Position
from domain.ports.ledger import Commit, Ignored, Log
from domain.voting import BOUND, Action, ConsensusResult, Outcome
from tests.builders import AGENTS, at, proposal, tick, verdict, votes

SYMBOLS = ("IBM", "AAPL", "MSFT")


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def empty(url: str) -> None:
    """Delete every row of the ledger and of its read side."""
    with connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # no append-only triggers
        names = connection.execute(
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
            " WHERE schemaname IN ('ledger', 'projections') AND tablename <> 'alembic_version'"
        ).fetchone()
        connection.execute(f"TRUNCATE {names[0]} RESTART IDENTITY")


class Recorder:
    """Writes both logs of a ledger, one commit for each thing that happens."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._ledger = PostgresLedger(url)
        self._engine = Engine(Rules(vote_deadline=timedelta(seconds=1)))
        self._leases = {
            log: self._runner.run(self._ledger.acquire(log, 0))
            for log in (Log.DECISIONS, Log.ORDERS)
        }
        self._sequences = {log: lease.sequence for log, lease in self._leases.items()}
        self._happened = 0
        self.decisions: list[ConsensusResult] = []

    def close(self) -> None:
        self._runner.run(self._ledger.close())
        self._runner.close()

    def decide(
        self,
        scores: Sequence[int],
        *,
        late: int = 0,
        hold: bool = False,
    ) -> None:
        """Propose something; the votes beyond `late` of them arrive in time."""
        name, seconds = self._name(), 40.0 * self._happened
        symbol = SYMBOLS[self._happened % len(SYMBOLS)]
        action = Action.HOLD if hold else Action.BUY
        cast = votes(name, tuple(scores), seconds=seconds + 0.5, symbol=symbol)
        cast = [replace(vote, risk_assessment={BOUND: Decimal("0.03")}) for vote in cast]
        proposed = proposal(name, symbol=symbol, seconds=seconds, action=action)
        self._apply(replace(proposed, data_version="bars@7"), *cast[late:])
        self._apply(tick(seconds + 1), *cast[:late])

    def answer(self, *, approved: bool) -> None:
        """Let a person answer the last decision that waits."""
        for decision in reversed(self.decisions):
            if decision.outcome is Outcome.MANUAL_REVIEW:
                seconds = (decision.occurred_at - at(0)).total_seconds() + 1
                answer = verdict(decision.decision_id, approved=approved, seconds=seconds)
                self._apply(replace(answer, correlation_id=decision.correlation_id))
                return

    def bar(self, price: int) -> None:
        """Observe a price, with all that a gateway makes of the last decision."""
        name, moment = self._name(), at(40.0 * self._happened)
        symbol = SYMBOLS[self._happened % len(SYMBOLS)]
        data = MarketData(
            message_id=derive_id("bar", name),
            correlation_id=derive_id("bar", name),
            occurred_at=moment,
            symbol=symbol,
            observed_at=moment,
            price=Decimal(price),
            volume=Decimal(1000),
        )
        caused = [data, self._portfolio(data)]
        if self.decisions:
            caused += self._traded(self.decisions[-1], data)
        self._commit(Log.ORDERS, caused)

    def _apply(self, *messages: Message) -> None:
        events, ignored = [], []
        for message in messages:
            for event in self._engine.apply(message):
                (ignored if isinstance(event, Ignored) else events).append(event)
        self.decisions += [event for event in events if isinstance(event, ConsensusResult)]
        self._commit(Log.DECISIONS, events, ignored)

    def _commit(self, log: Log, events: Iterable[Message], ignored: Iterable[Ignored] = ()) -> None:
        commit = Commit(
            expected_sequence=self._sequences[log], events=tuple(events), ignored=tuple(ignored)
        )
        lease = self._leases[log]
        self._sequences[log] = self._runner.run(self._ledger.commit(lease, commit)).sequence

    def _portfolio(self, data: MarketData) -> PortfolioUpdated:
        held = Position(
            symbol=data.symbol,
            quantity=Decimal(self._happened % 3),
            average_price=Decimal(90),
            mark_price=data.price,
        )
        return PortfolioUpdated(
            message_id=derive_id("portfolio", data.message_id),
            correlation_id=data.correlation_id,
            occurred_at=data.occurred_at,
            portfolio=Portfolio(cash=Decimal(1000), positions=(held,)),
        )

    def _traded(self, decision: ConsensusResult, data: MarketData) -> list[Message]:
        asked = decision.proposal
        order = Order(
            client_order_id=derive_id("order", decision.decision_id),
            decision_id=decision.decision_id,
            symbol=asked.symbol,
            side=Side.BUY,
            quantity=Decimal(10),
            arrival_price=asked.reference_price,
            created_at=decision.occurred_at,
        )
        # Ids differ with the bar, as if the order had gone on.
        same = {"correlation_id": decision.correlation_id, "occurred_at": data.occurred_at}
        updates = [
            OrderUpdated(
                message_id=derive_id("update", data.message_id, status),
                order=order,
                status=status,
                **same,
            )
            for status in (OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED)
        ]
        fill = ExecutionReport(
            message_id=derive_id("fill", data.message_id),
            execution_id=derive_id("execution", data.message_id),
            client_order_id=order.client_order_id,
            decision_id=decision.decision_id,
            symbol=asked.symbol,
            side=Side.BUY,
            quantity=Decimal(1),
            price=data.price,
            fee=Decimal("0.01"),
            executed_at=data.occurred_at,
            **same,
        )
        lived = Experience(
            message_id=derive_id("experience", data.message_id),
            decision_id=decision.decision_id,
            symbol=asked.symbol,
            state={"price": asked.reference_price},
            action=asked.action,
            outcome=decision.outcome,
            reward=Decimal(data.price - 100) / 100,
            next_state={"price": data.price},
            horizon_days=5,
            agent_contributions={},
            scores={v.agent_id: v.score for v in decision.counted},
            confidences_ppm={v.agent_id: v.confidence_ppm for v in decision.counted},
            bounds=dict.fromkeys(AGENTS, Decimal("0.01")),
            realised={"volatility": Decimal("0.02"), "entry_cost": Decimal("0.005")},
            model_versions={v.agent_id: v.model_version for v in decision.counted},
            **same,
        )
        return [*updates, fill, lived]

    def _name(self) -> str:
        self._happened += 1
        return f"{self._happened}"
