"""Each agent's votes: how it scores, whom it agrees with, and whether its confidence is earned."""

from typing import NamedTuple

import numpy as np
import polars as pl

from evaluation import calibration as cal
from evaluation.arrays import Floats
from evaluation.report import figures
from evaluation.report import wording as w
from evaluation.report.inputs import ReportInput


class Scorecard(NamedTuple):
    """One agent; figures are JSON, empty where there is nothing to draw."""

    agent_id: str
    name: str
    short_name: str
    models: str
    votes: int
    counted: int
    mean_score: str
    above_threshold: str
    calibration: cal.Calibration
    by_regime: list[tuple[str, cal.Calibration]]
    reliability: pl.DataFrame
    scores_figure: str
    reliability_figure: str


class Agreement(NamedTuple):
    """How often two agents fell on the same side of the threshold, of how many decisions."""

    first: str
    second: str
    rate: float
    decisions: int


def scorecards(report: ReportInput) -> list[Scorecard]:
    """Return a card for each agent that voted, the known four first."""
    present = set(report.votes["agent_id"])
    ordered = [a for a in w.AGENTS if a in present] + sorted(present - set(w.AGENTS))
    return [_card(report, agent_id, i) for i, agent_id in enumerate(ordered)]


def _card(report: ReportInput, agent_id: str, position: int) -> Scorecard:
    votes = report.votes.filter(pl.col("agent_id") == agent_id).join(
        report.decisions.select("decision_id", "decided_at", "regime"), on="decision_id"
    )
    counted = votes.filter("counted")
    known = counted.filter(pl.col("correct").is_not_null())
    said, came = known["confidence"].to_numpy(), _outcomes(known)
    threshold = report.run.execute_at_weighted_score
    scores = counted["score"].cast(pl.Float64).to_numpy()
    curve = cal.reliability_curve(said, came)
    colour = f"var(--agent-{position % 4 + 1})"
    return Scorecard(
        agent_id=agent_id,
        name=w.agent(agent_id),
        short_name=w.SHORT_AGENTS.get(agent_id, agent_id),
        models=", ".join(sorted(set(votes["model_version"]))),
        votes=votes.height,
        counted=counted.height,
        mean_score=w.number(float(np.mean(scores)) if len(scores) else None, 1),
        above_threshold=w.percent(float(np.mean(scores >= threshold)) if len(scores) else None, 0),
        calibration=_calibration(report, known),
        by_regime=[
            (regime, _calibration(report, told))
            for (regime,), told in sorted(known.group_by("regime"))
        ],
        reliability=curve,
        scores_figure=figures.scores_figure(scores, threshold, colour) if len(scores) else "",
        reliability_figure=figures.reliability_figure(curve, colour) if len(curve) else "",
    )


def _calibration(report: ReportInput, known: pl.DataFrame) -> cal.Calibration:
    """Measure confidence; outcomes of one horizon overlap, so blocks of its days stay together."""
    return cal.calibration(
        known["confidence"].to_numpy(),
        _outcomes(known),
        known["decided_at"].dt.date().to_list(),
        seed=report.run.seed,
        block=float(max(1, report.run.horizon_days)),
    )


def _outcomes(known: pl.DataFrame) -> Floats:
    return known["correct"].cast(pl.Float64).to_numpy()


def agreements(report: ReportInput) -> list[Agreement]:
    """Return the agreement of every pair of agents over the decisions on which both counted."""
    supports = report.votes.filter("counted").select(
        "decision_id",
        "agent_id",
        executes=pl.col("score") >= report.run.execute_at_weighted_score,
    )
    agents = [a for a in w.AGENTS if a in set(supports["agent_id"])]
    pairs: list[Agreement] = []
    for i, first in enumerate(agents):
        for second in agents[i + 1 :]:
            both = supports.filter(pl.col("agent_id") == first).join(
                supports.filter(pl.col("agent_id") == second), on="decision_id", suffix="_second"
            )
            same = int((both["executes"] == both["executes_second"]).sum())
            rate = same / both.height if both.height else float("nan")
            pairs.append(Agreement(first, second, rate, both.height))
    return pairs
