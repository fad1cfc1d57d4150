"""What each recorded event adds to the read side, as rows of its tables."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table

from adapters.projections import schema
from domain.experience import Experience
from domain.identity import derive_id
from domain.latest import LatestDecision, LatestPrice
from domain.market import MarketData
from domain.messages import Message, encode
from domain.money import ZERO
from domain.orders import ExecutionReport, OrderUpdated
from domain.portfolio import PortfolioUpdated
from domain.ports.ledger import Ignored, Log, Recorded
from domain.scorecards import LATE, Scorecard
from domain.voting import BOUND, ConsensusResult, Outcome, Vote

Row = tuple[Table, dict[str, Any]]

_REVIEW, _EXECUTION, _EXPERIENCE, _SCORECARD = (
    tuple(str(column.name) for column in table.columns)
    for table in (schema.reviews, schema.executions, schema.experiences, schema.scorecards)
)


class Judges(NamedTuple):
    """How events become scorecards: what makes an agent's verdict right is not known here."""

    from_event: Callable[[Message], Iterable[Scorecard]]
    from_ignored: Callable[[Ignored], Iterable[Scorecard]]


def rows_of(entry: Recorded, judges: Judges) -> Iterator[Row]:
    """Yield what one event of a log adds."""
    event = entry.message
    yield schema.event_index, _index_row(entry, event)
    match event:
        # The orders log repeats the decisions that it acted on.
        case ConsensusResult() if entry.log == Log.DECISIONS:
            yield from _of_decision(entry, event)
            yield from _of_cards(judges.from_event(event))
        case MarketData():
            yield schema.latest, _price_row(entry, event)
        case OrderUpdated():
            yield schema.orders, _order_row(event)
        case ExecutionReport():
            yield schema.executions, _execution_row(event)
        case PortfolioUpdated():
            yield schema.equity, _equity_row(entry, event)
            yield schema.portfolio, _portfolio_row(entry, event)
        case Experience():
            yield schema.experiences, _experience_row(event)
            yield from _of_cards(judges.from_event(event))
        case _:
            pass


def rows_of_ignored(ignored: Ignored, judges: Judges) -> Iterator[Row]:
    """Yield what a message without effect adds."""
    yield from _of_cards(judges.from_ignored(ignored))
    if isinstance(ignored.message, Vote) and ignored.reason == LATE:
        yield schema.votes, _late_vote_row(ignored.message)


def _of_decision(entry: Recorded, event: ConsensusResult) -> Iterator[Row]:
    first_id = derive_id("decision", event.proposal.proposal_id)
    yield schema.decisions, _decision_row(entry, event)
    yield schema.throughput, _throughput_row(event)
    yield schema.latest, _last_decision_row(entry, event)
    if event.decision_id != first_id:
        yield schema.reviews, _review_row(first_id) | {"final_id": event.decision_id}
        return
    yield from ((schema.votes, row) for row in _vote_rows(event))
    if event.outcome is Outcome.MANUAL_REVIEW:
        place = {
            "partition": entry.partition,
            "sequence": entry.sequence,
            "occurred_at": event.occurred_at,
        }
        yield schema.reviews, _review_row(first_id) | place


def _of_cards(cards: Iterable[Scorecard]) -> Iterator[Row]:
    for card in cards:
        key = {
            "day": card.day,
            "agent_id": card.agent_id,
            "model_version": card.model_version,
        }
        yield schema.scorecards, {name: getattr(card, name) for name in _SCORECARD}
        for reason, votes in card.ignored.items():
            yield schema.ignored_votes, key | {"reason": reason, "votes": votes}


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
            "bound": None,  # the experience has it
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
            "model_version": ignored.model_version,
            "bound": None,
        }


def _late_vote_row(vote: Vote) -> dict[str, Any]:
    return {
        "proposal_id": vote.proposal_id,
        "decision_id": derive_id("decision", vote.proposal_id),
        "occurred_at": vote.occurred_at,
        "symbol": vote.symbol,
        "message_id": vote.message_id,
        "agent_id": vote.agent_id,
        "counted": False,
        "ignored_reason": LATE,
        "score": vote.score,
        "confidence_ppm": vote.confidence_ppm,
        "weight": None,
        "rationale": vote.rationale,
        "veto": vote.veto,
        "model_version": vote.model_version,
        "bound": vote.risk_assessment.get(BOUND),
    }


def _review_row(decision_id: str) -> dict[str, Any]:
    """Return a row that knows nothing yet; what it doesn't know, the stored one keeps."""
    return dict.fromkeys(_REVIEW) | {"decision_id": decision_id}


def _throughput_row(event: ConsensusResult) -> dict[str, Any]:
    minute = event.occurred_at.replace(second=0, microsecond=0)
    return {"minute": minute, "outcome": event.outcome, "reason": event.reason, "decisions": 1}


def _price_row(entry: Recorded, event: MarketData) -> dict[str, Any]:
    return {
        "symbol": event.symbol,
        "price": _json(LatestPrice.of(event)),
        "price_sequence": entry.sequence,
        "decision": None,
        "decision_sequence": None,
    }


def _last_decision_row(entry: Recorded, event: ConsensusResult) -> dict[str, Any]:
    return {
        "symbol": event.proposal.symbol,
        "price": None,
        "price_sequence": None,
        "decision": _json(LatestDecision.of(event)),
        "decision_sequence": entry.sequence,
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
    return {name: getattr(event, name) for name in _EXECUTION}


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


def _portfolio_row(entry: Recorded, event: PortfolioUpdated) -> dict[str, Any]:
    return {
        "partition": entry.partition,
        "occurred_at": event.occurred_at,
        "portfolio": _json(event.portfolio),
    }


def _experience_row(event: Experience) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _EXPERIENCE}


def _json(value: msgspec.Struct) -> msgspec.Raw:
    return msgspec.Raw(encode(value))
