"""The whole walk of one trade, from tick to reward, out of its recorded events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from domain.experience import Experience
from domain.market import MarketData
from domain.messages import Message, Value
from domain.models import ModelVersion
from domain.money import ZERO, canonical, notional, ratio
from domain.orders import ExecutionReport, OrderUpdated, Side
from domain.ports.ledger import Recorded
from domain.review import ReviewVerdict
from domain.voting import ConsensusResult, LateVote, TradingProposal

_Kind = TypeVar("_Kind", bound=Message)


class Evidence(Value, frozen=True, kw_only=True):
    """Where an event stands on record, what caused it, and the chain's hash there."""

    log: str
    partition: int
    sequence: int
    hash: str
    message_id: str
    causation_id: str
    occurred_at: datetime
    type: str


class Walk(Value, frozen=True, kw_only=True):
    """One walk; what has not happened (yet) is absent.

    Parameters
    ----------
    tick
        The bar that the proposal was made on.
    decisions
        The decision, and the one that ended its manual review.
    verdicts
        What persons answered.
    orders
        Every state that every order went through, in order.
    executions
        The fills, in order.
    experience
        The reward at the horizon, and each agent's part of it.
    filled_quantity, average_price, fees
        Sums over the fills; quantity is signed, negative for sales.
    profit
        What the fills earned up to the horizon, after costs, in money: the reward on the
        notional that was filled.
    model_versions
        Agent → the model that voted; the proposer's under ``proposal``.
    models
        Model version → its training run, data, code and parent, where the registry tells.
    late
        Votes that came after the decision.
    evidence
        Every event of the walk on record.
    """

    correlation_id: str
    tick: MarketData | None
    proposal: TradingProposal
    decisions: tuple[ConsensusResult, ...]
    verdicts: tuple[ReviewVerdict, ...]
    orders: tuple[OrderUpdated, ...]
    executions: tuple[ExecutionReport, ...]
    experience: Experience | None
    filled_quantity: Decimal
    average_price: Decimal | None
    fees: Decimal
    profit: Decimal | None
    model_versions: dict[str, str]
    models: dict[str, ModelVersion]
    data_version: str
    late: tuple[LateVote, ...]
    evidence: tuple[Evidence, ...]


def explain(
    entries: Sequence[Recorded],
    *,
    late: Iterable[LateVote] = (),
    lineage: Callable[[Iterable[str]], Mapping[str, ModelVersion]] | None = None,
) -> Walk | None:
    """Return the walk that `entries` (all events of one correlation id) tell, or None.

    None is returned when they hold no decision, so that there is nothing to explain.

    Parameters
    ----------
    late
        Votes that came after the decision; the logs of events don't hold them.
    lineage
        Tells where model versions come from.
    """
    messages = [entry.message for entry in entries]
    decisions = _of_type(messages, ConsensusResult)
    if not decisions:
        return None
    first, executions = decisions[0], _of_type(messages, ExecutionReport)
    quantity = sum((_signed(report) for report in executions), ZERO)
    value = sum((notional(r.price, r.quantity) for r in executions), ZERO)
    traded = sum((r.quantity for r in executions), ZERO)
    ticks, experiences = _of_type(messages, MarketData), _of_type(messages, Experience)
    lived = experiences[0] if experiences else None
    versions = {
        "proposal": first.proposal.model_version,
        **{vote.agent_id: vote.model_version for vote in first.counted},
    }
    return Walk(
        correlation_id=first.correlation_id,
        tick=next((t for t in ticks if t.message_id == first.correlation_id), None),
        proposal=first.proposal,
        decisions=decisions,
        verdicts=_of_type(messages, ReviewVerdict),
        orders=_of_type(messages, OrderUpdated),
        executions=executions,
        experience=lived,
        filled_quantity=canonical(quantity),
        average_price=ratio(value, traded) if traded else None,
        fees=canonical(sum((r.fee for r in executions), ZERO)),
        profit=None if lived is None or not traded else _profit(lived, first.proposal, traded),
        model_versions=versions,
        models=dict(lineage(versions.values())) if lineage is not None else {},
        data_version=first.proposal.data_version,
        late=tuple(late),
        evidence=tuple(map(_evidence, entries, messages)),
    )


def _of_type(messages: Iterable[Message], kind: type[_Kind]) -> tuple[_Kind, ...]:
    """Return the messages of one type, each once: two logs may tell of the same decision."""
    return tuple({m.message_id: m for m in messages if isinstance(m, kind)}.values())


def _profit(lived: Experience, proposal: TradingProposal, filled: Decimal) -> Decimal:
    return notional(lived.reward, notional(proposal.reference_price, filled))


def _signed(report: ExecutionReport) -> Decimal:
    return report.quantity if report.side is Side.BUY else -report.quantity


def _evidence(entry: Recorded, message: Message) -> Evidence:
    return Evidence(
        log=entry.log,
        partition=entry.partition,
        sequence=entry.sequence,
        hash=entry.hash.hex(),
        message_id=message.message_id,
        causation_id=message.causation_id,
        occurred_at=message.occurred_at,
        type=type(message).__name__,
    )
