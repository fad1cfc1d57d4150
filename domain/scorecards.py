"""How an agent does: exact sums over what was recorded of its votes, and the figures they give."""

from collections.abc import Iterable
from datetime import date

import msgspec

from domain.messages import Value
from domain.voting import MILLION

_SUMS = (
    "counted",
    "decided",
    "agreed",
    "score_sum",
    "confidence_ppm_sum",
    "timed",
    "latency_us_sum",
    "matured",
    "right",
    "squared_error_sum",
)
#: Reasons, among those of ignored votes, that have a figure of their own.
LATE, ABSTAINED = "late", "abstained"


class Scorecard(Value, frozen=True, kw_only=True):
    """What one agent did under one model version on one day (UTC), or summed over several.

    Parameters
    ----------
    day, model_version
        Absent (None, empty) in a sum over several.
    counted
        Votes that entered a decision.
    decided, agreed
        Counted votes on proposals that were executed or rejected in the end, and those of them
        whose side (75 or more: execute) was the outcome's.
    score_sum, confidence_ppm_sum
        Over the counted votes; confidence in millionths.
    timed, latency_us_sum
        Counted votes whose time is on record, and microseconds from the proposal to the vote.
    matured, right
        Votes that the future answered, and those that it proved right: those that counted, and
        of an agent that came too late its last one.
    squared_error_sum
        Σ (confidence − right)² over the matured, in millionths squared.
    ignored
        Reason → votes that were not counted.
    """

    agent_id: str
    model_version: str = ""
    day: date | None = None
    counted: int = 0
    decided: int = 0
    agreed: int = 0
    score_sum: int = 0
    confidence_ppm_sum: int = 0
    timed: int = 0
    latency_us_sum: int = 0
    matured: int = 0
    right: int = 0
    squared_error_sum: int = 0
    ignored: dict[str, int] = {}

    @property
    def late(self) -> int:
        """Votes that came after their decision."""
        return self.ignored.get(LATE, 0)

    @property
    def abstained(self) -> int:
        """Votes by which the agent said that it has no say."""
        return self.ignored.get(ABSTAINED, 0)

    @property
    def agreement_rate(self) -> float | None:
        """Share of the decided votes that agreed with the outcome."""
        return _ratio(self.agreed, self.decided)

    @property
    def mean_score(self) -> float | None:
        """Mean score of the counted votes (0–100)."""
        return _ratio(self.score_sum, self.counted)

    @property
    def mean_confidence(self) -> float | None:
        """Mean confidence of the counted votes (0–1)."""
        return _ratio(self.confidence_ppm_sum, self.counted * MILLION)

    @property
    def mean_latency_seconds(self) -> float | None:
        """Mean time from the proposal to the vote."""
        return _ratio(self.latency_us_sum, self.timed * 1_000_000)

    @property
    def hit_rate(self) -> float | None:
        """Share of the matured verdicts that proved right."""
        return _ratio(self.right, self.matured)

    @property
    def brier_score(self) -> float | None:
        """Mean squared distance of confidence from what came (0 best; 0.25 says nothing)."""
        return _ratio(self.squared_error_sum, self.matured * MILLION**2)


def total(cards: Iterable[Scorecard], like: Scorecard) -> Scorecard:
    """Return the sum of `cards` under the names (agent, model version, day) of `like`."""
    sums = dict.fromkeys(_SUMS, 0)
    ignored: dict[str, int] = {}
    for card in cards:
        for name in _SUMS:
            sums[name] += getattr(card, name)
        for reason, votes in card.ignored.items():
            ignored[reason] = ignored.get(reason, 0) + votes
    return msgspec.structs.replace(like, **sums, ignored=dict(sorted(ignored.items())))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
