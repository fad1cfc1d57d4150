"""How an agent's confidence has fared against what then happened."""

from dataclasses import dataclass, field
from math import log
from typing import Final

from agents.market_analyst.regime import name_in
from agents.verdicts import proved_right
from domain.experience import Experience
from domain.voting import MILLION, AgentId, TradingProposal

#: Confidences are compared with what came in this many bins of equal width.
_BINS = 10
#: All regimes together, and a proposal that told none or that this process has not seen.
ALL: Final = "all"
UNKNOWN: Final = "unknown"
#: Proposals whose regime is remembered until their outcome is known; the oldest are forgotten.
_REMEMBERED = 10_000


@dataclass
class RealisedCalibration:
    """Running counts over the experiences of one agent; each experience counts once."""

    agent: AgentId
    verdicts: int = 0
    right: int = 0
    confidence_sum: float = 0.0
    squared_error_sum: float = 0.0
    surprise_sum: float = 0.0
    _excess: list[float] = field(default_factory=lambda: [0.0] * _BINS)
    _seen: set[str] = field(default_factory=set[str])

    def add(self, experience: Experience) -> bool:
        """Count an experience that says whether the agent's vote was right (`agents.verdicts`).

        Returns whether it was counted.
        """
        score = experience.scores.get(self.agent)
        is_right = None if score is None else proved_right(self.agent, score, experience)
        if is_right is None or experience.message_id in self._seen:
            return False
        self._seen.add(experience.message_id)
        confidence = experience.confidences_ppm.get(self.agent, 0) / MILLION
        self.verdicts += 1
        self.right += is_right
        self.confidence_sum += confidence
        self.squared_error_sum += (confidence - is_right) ** 2
        given = confidence if is_right else 1.0 - confidence
        self.surprise_sum -= log(min(max(given, 1.0 / MILLION), 1.0 - 1.0 / MILLION))
        self._excess[min(int(confidence * _BINS), _BINS - 1)] += confidence - is_right
        return True

    @property
    def hit_rate(self) -> float:
        """Share of verdicts that proved right; 0 before the first."""
        return self.right / self.verdicts if self.verdicts else 0.0

    @property
    def mean_confidence(self) -> float:
        """Mean confidence; equal to `hit_rate` where confidence is calibrated."""
        return self.confidence_sum / self.verdicts if self.verdicts else 0.0

    @property
    def brier(self) -> float:
        """Brier score of the confidence."""
        return self.squared_error_sum / self.verdicts if self.verdicts else 0.0

    @property
    def log_loss(self) -> float:
        """Mean surprise at what came, in nats."""
        return self.surprise_sum / self.verdicts if self.verdicts else 0.0

    @property
    def calibration_error(self) -> float:
        """Mean distance of confidence and share right over ten bins, by count."""
        return sum(map(abs, self._excess)) / self.verdicts if self.verdicts else 0.0


class RealisedByRegime:
    """Calibration of one agent in all, and in each regime as the proposals told it."""

    def __init__(self, agent: AgentId) -> None:
        self._agent = agent
        self._by_regime = {ALL: RealisedCalibration(agent)}
        self._told: dict[str, str] = {}

    @property
    def whole(self) -> RealisedCalibration:
        """The counts over all regimes."""
        return self._by_regime[ALL]

    def proposed(self, proposal: TradingProposal) -> None:
        """Remember the regime that a proposal tells."""
        self._told[proposal.correlation_id] = name_in(proposal.rationale) or UNKNOWN
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]

    def add(self, experience: Experience) -> dict[str, RealisedCalibration]:
        """Count an experience; returns the counts that it changed, by regime."""
        regime = self._told.pop(experience.correlation_id, UNKNOWN)
        if not self.whole.add(experience):
            return {}
        own = self._by_regime.setdefault(regime, RealisedCalibration(self._agent))
        own.add(experience)
        return {ALL: self.whole, regime: own}
