"""What the rule made of the proposals: how many of each outcome, who disagreed, whether it paid.

Frames have the columns of `evaluation.report.inputs.COLUMNS` that are named here.
"""

import math
from typing import NamedTuple

import numpy as np
import polars as pl

from domain.voting import ACCEPTANCE, Outcome
from evaluation.resampling import samples_by_day
from evaluation.significance import Interval

_FEWEST_DAYS = 10
_REVIEW = Outcome.MANUAL_REVIEW


class Shares(NamedTuple):
    """How many proposals had which outcome."""

    executed: int
    rejected: int
    review: int

    @property
    def proposals(self) -> int:
        """All of them."""
        return sum(self)

    def share(self, outcome: int) -> float:
        """Return a count as a share of all proposals; NaN where there are none."""
        return outcome / self.proposals if self.proposals else math.nan


class Dissent(NamedTuple):
    """How often one agent's vote fell on another side of the acceptance than others' votes.

    Parameters
    ----------
    votes
        Its counted votes on proposals on which another vote counted too.
    against
        Of them, those against most of the others' votes.
    alone
        Of them, those against all others, of which there were at least two.
    sent_to_review
        Proposals for review whose scores its own lies farthest from the mean of.
    """

    agent_id: str
    votes: int
    against: int
    alone: int
    sent_to_review: int


def shares(decisions: pl.DataFrame) -> Shares:
    """Count the outcomes (column ``outcome``)."""
    counted = dict(decisions["outcome"].value_counts().rows())
    return Shares(*(counted.get(o, 0) for o in (Outcome.EXECUTE, Outcome.REJECT, _REVIEW)))


def dissents(decisions: pl.DataFrame, votes: pl.DataFrame) -> list[Dissent]:
    """Return each agent's dissent, by ``decision_id, agent_id, score, counted`` and ``outcome``."""
    one = pl.col("accepts").cast(pl.Int64)
    others = pl.len().over("decision_id") - 1
    with_them = one.sum().over("decision_id") - one
    distance = (pl.col("score") - pl.col("score").mean().over("decision_id")).abs()
    judged = (
        votes.filter("counted")
        .join(decisions.select("decision_id", "outcome"), on="decision_id")
        .with_columns(accepts=pl.col("score") >= ACCEPTANCE)
        .with_columns(
            others=others,
            opposed=pl.when("accepts").then(others - with_them).otherwise(with_them),
            farthest=distance == distance.max().over("decision_id"),
        )
        .filter(pl.col("others") > 0)
    )
    found = judged.group_by("agent_id").agg(
        votes=pl.len(),
        against=(2 * pl.col("opposed") > pl.col("others")).sum(),
        alone=((pl.col("opposed") == pl.col("others")) & (pl.col("others") > 1)).sum(),
        sent_to_review=(pl.col("farthest") & (pl.col("outcome") == _REVIEW)).sum(),
    )
    return [Dissent(*row) for row in found.sort("agent_id").rows()]


def executed_less_rejected(
    decisions: pl.DataFrame,
    *,
    seed: int,
    horizon_days: int,
    confidence: float = 0.95,
    resamples: int = 1_000,
) -> Interval:
    """Return mean reward of executed less that of rejected proposals, with its interval.

    By ``decided_at, outcome`` and ``reward`` (whatever was decided; null while unknown). Proposals
    of one day share that day's market and rewards overlap for a horizon, so the bootstrap draws
    blocks of `horizon_days` whole days. Limits are NaN where either outcome came on fewer than
    ten days.
    """
    known = decisions.filter(
        pl.col("reward").is_not_null(), pl.col("outcome") != _REVIEW
    ).with_columns(
        day=pl.col("decided_at").dt.date(), executed=pl.col("outcome") == Outcome.EXECUTE
    )
    rewards = known["reward"].to_numpy()
    executed = known["executed"].to_numpy()
    estimate = _difference(rewards, executed)
    per_outcome = known.group_by("executed").agg(pl.col("day").n_unique())["day"]
    if len(per_outcome) < 2 or min(per_outcome.to_list()) < _FEWEST_DAYS:
        return Interval(estimate, math.nan, math.nan, confidence)
    drawn = [
        _difference(rewards[rows], executed[rows])
        for rows in samples_by_day(
            known["day"].to_list(), seed=seed, block=float(horizon_days), resamples=resamples
        )
    ]
    tail = (1 - confidence) / 2
    low, high = (float(q) for q in np.nanquantile(drawn, [tail, 1 - tail]))
    return Interval(estimate, low, high, confidence)


def _difference(rewards: np.ndarray, executed: np.ndarray) -> float:
    if executed.all() or not executed.any():
        return math.nan
    return float(rewards[executed].mean() - rewards[~executed].mean())
