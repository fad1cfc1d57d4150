"""The decisions table: what was proposed, how each agent scored it, and what became of it."""

from typing import Any, NamedTuple

import polars as pl

from evaluation.report import wording as w
from evaluation.report.inputs import ReportInput

#: A page with more rows than this gets heavy; the log itself has them all.
MOST_ROWS = 1_500


class VoteCell(NamedTuple):
    """One agent's vote on one decision."""

    name: str
    score: int
    confidence: str
    counted: bool
    note: str
    rationale: str


class DecisionRow(NamedTuple):
    """One decision; numbers stand beside the text they sort by."""

    decision_id: str
    moment: str
    date: str
    symbol: str
    action: str
    quantity: str
    price: str
    value: float
    outcome: str
    outcome_word: str
    reason: str
    degraded: bool
    weighted: float | None
    weighted_text: str
    variance: float | None
    variance_text: str
    pnl: float | None
    pnl_text: str
    votes: dict[str, VoteCell]
    rationale: str
    order: str


def decision_rows(report: ReportInput) -> list[DecisionRow]:
    """Return the newest `MOST_ROWS` decisions, newest first."""
    newest = (
        report.decisions.reverse()
        .head(MOST_ROWS)
        .join(report.outcomes.select("decision_id", "pnl"), on="decision_id", how="left")
    )
    wanted = set(newest["decision_id"])
    votes = _by_decision(report.votes, wanted)
    orders = _by_decision(report.orders, wanted)
    return [
        _row(row, votes.get(row["decision_id"], []), orders.get(row["decision_id"], []))
        for row in newest.iter_rows(named=True)
    ]


def _by_decision(frame: pl.DataFrame, wanted: set[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        if row["decision_id"] in wanted:
            found.setdefault(row["decision_id"], []).append(row)
    return found


def _row(
    row: dict[str, Any], votes: list[dict[str, Any]], orders: list[dict[str, Any]]
) -> DecisionRow:
    return DecisionRow(
        decision_id=row["decision_id"],
        moment=row["decided_at"].isoformat(),
        date=w.day(row["decided_at"]),
        symbol=row["symbol"],
        action=row["action"],
        quantity=w.number(row["quantity"], 0),
        price=w.number(row["reference_price"]),
        value=round(row["quantity"] * row["reference_price"], 2),
        outcome=row["outcome"],
        outcome_word=w.outcome(row["outcome"]),
        reason=row["reason"].replace("_", " "),
        degraded=row["degraded"],
        weighted=row["weighted_score"],
        weighted_text=w.number(row["weighted_score"], 1),
        variance=row["variance"],
        variance_text=w.number(row["variance"], 1),
        pnl=row["pnl"],
        pnl_text=w.money(row["pnl"], signed=True),
        votes={vote["agent_id"]: _vote(vote) for vote in votes},
        rationale=row["rationale"],
        order="; ".join(
            f"{o['side']} {w.number(o['quantity'], 0)} {o['status'].lower().replace('_', ' ')}"
            + (f" ({o['reason']})" if o["reason"] else "")
            for o in orders
        ),
    )


def _vote(vote: dict[str, Any]) -> VoteCell:
    return VoteCell(
        name=w.agent(vote["agent_id"]),
        score=vote["score"],
        confidence=w.percent(vote["confidence"], 0),
        counted=vote["counted"],
        note=vote["note"],
        rationale=vote["rationale"],
    )
