"""What the rule made of the proposals, and whether executing them was better than rejecting."""

import math
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from evaluation import decisions as dc
from evaluation.report import wording as w
from evaluation.report.inputs import ReportInput
from evaluation.significance import Interval

#: A rule that sends more than this share to a person is not usable.
MOST_REVIEWED = 0.25


@dataclass(frozen=True)
class RuleRecord:
    """Figures of the decisions, computed once and used by page and findings."""

    report: ReportInput

    @cached_property
    def shares(self) -> dc.Shares:
        """Proposals by outcome."""
        return dc.shares(self.report.decisions)

    @cached_property
    def dissents(self) -> list[dc.Dissent]:
        """Each agent's dissent, the known four first."""
        order = {agent: position for position, agent in enumerate(w.AGENTS)}
        found = dc.dissents(self.report.decisions, self.report.votes)
        return sorted(found, key=lambda d: (order.get(d.agent_id, len(order)), d.agent_id))

    @cached_property
    def advantage(self) -> Interval:
        """Mean reward of executed less that of rejected proposals."""
        return dc.executed_less_rejected(
            self.report.decisions,
            seed=self.report.run.seed,
            horizon_days=max(1, self.report.run.horizon_days),
        )

    @property
    def rows(self) -> list[tuple[str, int, float, float]]:
        """Return outcome in words, proposals, their share, and their mean reward."""
        rewards = dict(
            self.report.decisions.group_by("outcome").agg(pl.col("reward").mean()).rows()
        )
        counts = (self.shares.executed, self.shares.rejected, self.shares.review)
        return [
            (word, count, self.shares.share(count), _number(rewards.get(outcome)))
            for (outcome, word), count in zip(w.OUTCOMES.items(), counts, strict=True)
        ]

    @property
    def is_usable(self) -> bool:
        """Whether at most a quarter of the proposals went to a person."""
        return not self.shares.share(self.shares.review) > MOST_REVIEWED

    @property
    def sentence(self) -> str:
        """Whether executed proposals did better than rejected ones, and how sure that is."""
        difference, low, high, _ = self.advantage
        if math.isnan(difference):
            return "Executed and rejected proposals can't be compared: one of them has no outcome."
        told = (
            f"Executed proposals earned {_bps(abs(difference))} bps "
            f"{'more' if difference >= 0 else 'less'} than rejected ones"
        )
        if math.isnan(low):
            return f"{told}, on too few days for an interval."
        limits = f"95 % interval {_bps(low)} to {_bps(high)} bps, days drawn in blocks"
        if low > 0:
            return f"{told} ({limits}): more than chance explains."
        if high < 0:
            return f"{told} ({limits}): the rule chose worse than chance explains."
        return f"{told} ({limits}): not distinguishable from chance."


def _bps(fraction: float) -> str:
    return w.number(fraction * 1e4, 1)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
