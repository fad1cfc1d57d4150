"""Past live transitions as a table, and as training samples."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from agents.price_history import Floats
from domain.experience import Experience
from domain.voting import Action, Outcome

_COLUMNS = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "message_id": pl.String,
    "decision_id": pl.String,
    "action": pl.String,
    "outcome": pl.String,
    "reward": pl.Float64,
    "horizon_days": pl.Int64,
    "state": pl.String,
    "next_state": pl.String,
    "agent_contributions": pl.String,
    "scores": pl.String,
    "confidences_ppm": pl.String,
    "bounds": pl.String,
    "model_versions": pl.String,
    "realised": pl.String,
    "correlation_id": pl.String,
    "causation_id": pl.String,
}


def experience_frame(experiences: Iterable[Experience]) -> pl.DataFrame:
    """Return the table EXPERIENCES; mappings are JSON objects with sorted keys."""

    def as_json(values: object) -> str:
        return json.dumps(values, sort_keys=True, default=float)

    rows = [
        (
            e.symbol, e.occurred_at, e.message_id, e.decision_id, e.action.value,
            e.outcome.value, float(e.reward), e.horizon_days, as_json(e.state),
            as_json(e.next_state), as_json(e.agent_contributions), as_json(e.scores),
            as_json(e.confidences_ppm), as_json(e.bounds), as_json(e.model_versions),
            as_json(e.realised), e.correlation_id, e.causation_id,
        )
        for e in experiences
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row").sort(
        "symbol", "timestamp", "message_id"
    )


def experiences_of(frame: pl.DataFrame) -> list[Experience]:
    """Return the experiences of the table EXPERIENCES; the inverse of `experience_frame`.

    Columns that a table of an earlier release lacks stay at their defaults.
    """
    return [_experience(row) for row in frame.iter_rows(named=True)]


def _experience(row: dict[str, Any]) -> Experience:
    def numbers(name: str) -> dict[str, Decimal]:
        return {key: _exact(value) for key, value in json.loads(row.get(name) or "{}").items()}

    return Experience(
        message_id=row["message_id"],
        correlation_id=row.get("correlation_id") or "",
        causation_id=row.get("causation_id") or "",
        occurred_at=row["timestamp"],
        decision_id=row["decision_id"],
        symbol=row["symbol"],
        state=numbers("state"),
        action=Action(row["action"]),
        outcome=Outcome(row["outcome"]),
        reward=_exact(row["reward"]),
        next_state=numbers("next_state"),
        horizon_days=row["horizon_days"],
        agent_contributions=numbers("agent_contributions"),
        scores=json.loads(row["scores"]),
        confidences_ppm=json.loads(row["confidences_ppm"]),
        bounds=numbers("bounds"),
        model_versions=json.loads(row.get("model_versions") or "{}"),
        realised=numbers("realised"),
    )


def _exact(value: float) -> Decimal:
    """Return the decimal that a float stands for; it was written from one of at most 15 digits."""
    return Decimal(repr(value))


def rewarded_states(
    experiences: pl.DataFrame | None, inputs: tuple[str, ...], until: datetime
) -> tuple[Floats, Floats, Floats]:
    """Return inputs, directions (1 or -1) and rewards of the transitions known before `until`.

    Transitions whose state lacks one of the inputs are left out.
    """
    empty = np.zeros((0, len(inputs))), np.zeros(0), np.zeros(0)
    if experiences is None or experiences.is_empty():
        return empty
    known = experiences.filter(
        (pl.col("timestamp") < until) & pl.col("action").is_in([Action.BUY, Action.SELL])
    ).sort("timestamp", "symbol", "message_id")
    states = [json.loads(text) for text in known["state"].to_list()]
    complete = [all(name in state for name in inputs) for state in states]
    if not any(complete):
        return empty
    kept = known.filter(pl.Series(complete))
    rows = [
        [float(state[name]) for name in inputs]
        for state, is_whole in zip(states, complete, strict=True)
        if is_whole
    ]
    directions = np.where(kept["action"].to_numpy() == Action.BUY.value, 1.0, -1.0)
    return np.array(rows), directions, kept["reward"].to_numpy()
