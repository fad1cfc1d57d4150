"""Turn the record, the registry and the batch runs into what the report shows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import polars as pl

from agents.market_analyst.regime import name_in
from agents.verdicts import proved_right
from domain.experience import Experience
from domain.messages import Message
from domain.models import ModelVersion
from domain.orders import ExecutionReport, OrderStatus, OrderUpdated
from domain.portfolio import PortfolioUpdated
from domain.voting import ConsensusResult, Outcome
from evaluation.performance import buy_and_hold
from evaluation.report.inputs import SCHEMAS

#: An order's statuses in the order of its life; the last one reached is shown.
_LIFE = {status: number for number, status in enumerate(OrderStatus)}


def record_frames(
    decisions: Sequence[ConsensusResult], orders: Sequence[Message]
) -> dict[str, pl.DataFrame]:
    """Return the report's frames that come from the logs, by name.

    Parameters
    ----------
    decisions
        The log "decisions".
    orders
        The log "orders": order updates, fills, portfolios and experiences.
    """
    experiences = {e.decision_id: e for e in orders if isinstance(e, Experience)}
    first = {d.proposal.proposal_id: d for d in reversed(decisions)}
    latest = {d.proposal.proposal_id: d for d in decisions}.values()
    return {
        "decisions": _frame(
            "decisions",
            (
                _decision(first[d.proposal.proposal_id], d, experiences.get(d.decision_id))
                for d in latest
            ),
        ),
        "votes": _frame("votes", _votes(latest, experiences)),
        "orders": _frame("orders", _orders(o for o in orders if isinstance(o, OrderUpdated))),
        "executions": _frame(
            "executions", (_execution(e) for e in orders if isinstance(e, ExecutionReport))
        ),
        "outcomes": _frame("outcomes", _outcomes(latest, experiences)),
        "equity": _frame("equity", _equity(p for p in orders if isinstance(p, PortfolioUpdated))),
    }


def benchmark_frame(bars: pl.DataFrame, capital: Decimal) -> pl.DataFrame:
    """Return buy and hold of the same capital over the replayed bars."""
    return buy_and_hold(bars, float(capital)).select(SCHEMAS["benchmark"].names())


def model_frame(
    versions: Iterable[ModelVersion], trained_until: Mapping[str, datetime | None]
) -> pl.DataFrame:
    """Return the registered versions; `trained_until` is by label."""
    return _frame(
        "models",
        (
            {
                "agent_id": version.agent_type.value,
                "label": version.label,
                "status": version.deployment_status.value,
                "trained_until": trained_until.get(version.label),
                "data_version": version.data_version,
                "code_version": version.code_version,
            }
            for version in versions
        ),
    )


def _frame(name: str, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMAS[name])


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _decision(
    first: ConsensusResult, decision: ConsensusResult, lived: Experience | None
) -> dict[str, object]:
    """Return a proposal's row: a review that nobody answered stays one that was for review."""
    proposal = decision.proposal
    answered = decision is first or decision.outcome is Outcome.EXECUTE
    return {
        "decision_id": decision.decision_id,
        "decided_at": decision.occurred_at,
        "symbol": proposal.symbol,
        "action": proposal.action.value,
        "quantity": float(proposal.quantity),
        "reference_price": float(proposal.reference_price),
        "outcome": (decision if answered else first).outcome.value,
        "reason": decision.reason if decision is first else f"{first.reason}, {decision.reason}",
        "weighted_score": _number(decision.weighted_score),
        "variance": _number(decision.variance),
        "participation": decision.participation,
        "degraded": decision.degraded,
        "rationale": proposal.rationale,
        "regime": name_in(proposal.rationale),
        "reward": lived and float(lived.reward),
    }


def _votes(
    decisions: Iterable[ConsensusResult], experiences: Mapping[str, Experience]
) -> Iterable[dict[str, object]]:
    for decision in decisions:
        lived = experiences.get(decision.decision_id)
        for vote in decision.counted:
            yield {
                "decision_id": decision.decision_id,
                "agent_id": vote.agent_id,
                "score": vote.score,
                "confidence": vote.confidence_ppm / 1e6,
                "counted": True,
                "note": vote.veto,
                "rationale": vote.rationale,
                "model_version": vote.model_version,
                "correct": lived and proved_right(vote.agent_id, vote.score, lived),
            }
        for ignored in decision.ignored:
            yield {
                "decision_id": decision.decision_id,
                "agent_id": ignored.agent_id,
                "counted": False,
                "note": ignored.reason,
                "rationale": "",
                "model_version": "",
            }


def _orders(updates: Iterable[OrderUpdated]) -> Iterable[dict[str, object]]:
    last: dict[str, OrderUpdated] = {}
    for update in updates:
        known = last.get(update.order.client_order_id)
        if known is None or _LIFE[update.status] >= _LIFE[known.status]:
            last[update.order.client_order_id] = update
    for update in last.values():
        order, denial = update.order, update.denial
        yield {
            "client_order_id": order.client_order_id,
            "decision_id": order.decision_id,
            "symbol": order.symbol,
            "side": order.side.value,
            "quantity": float(order.quantity),
            "status": update.status.value,
            "reason": f"{denial.control}: {denial.reason}" if denial else update.reason,
        }


def _execution(report: ExecutionReport) -> dict[str, object]:
    return {
        "client_order_id": report.client_order_id,
        "decision_id": report.decision_id,
        "executed_at": report.executed_at,
        "symbol": report.symbol,
        "side": report.side.value,
        "quantity": float(report.quantity),
        "price": float(report.price),
        "fee": float(report.fee),
        "slippage_bps": float(report.slippage_bps),
    }


def _outcomes(
    decisions: Iterable[ConsensusResult], experiences: Mapping[str, Experience]
) -> Iterable[dict[str, object]]:
    for decision in decisions:
        lived = experiences.get(decision.decision_id)
        if lived is not None and decision.outcome is Outcome.EXECUTE:
            notional = decision.proposal.quantity * decision.proposal.reference_price
            yield {
                "decision_id": decision.decision_id,
                "reward": float(lived.reward),
                "pnl": float(lived.reward * notional),
            }


def _equity(updates: Iterable[PortfolioUpdated]) -> Iterable[dict[str, object]]:
    last = {update.occurred_at: update.portfolio for update in updates}
    for timestamp, portfolio in last.items():
        yield {
            "timestamp": timestamp,
            "equity": float(portfolio.equity),
            "cash": float(portfolio.cash),
            "gross_value": float(sum(abs(p.market_value) for p in portfolio.positions)),
        }
