"""Watches the version that votes, and takes it back on a breach: nothing outside is needed for it.

What it rests on (files, history and pointers of `adapters.model_registry.deployed`) is on this
machine, so it works with Dagster, MLflow and PostgreSQL down; the registry hears of it later.
"""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from adapters.model_registry.deployed import DeployedModels
from domain.errors import QuorumError
from domain.experience import LIMIT_BREACH, Experience
from domain.messages import Message, encode
from domain.metrics import Metric
from domain.models import ModelVersion
from domain.portfolio import PortfolioUpdated
from domain.ports.metrics import Metrics
from domain.settings import Settings
from domain.voting import ACCEPTANCE, MILLION, Outcome
from evaluation.guardrails import Breach, Guard, Guardrail

if TYPE_CHECKING:  # imports torch
    from evaluation.claimed_edge import ClaimedEdge

_log = structlog.get_logger(__name__)


class Watch:
    """The guardrails of one version, and its end.

    Parameters
    ----------
    version
        Which version is watched; the next one gets a watch of its own.
    now
        The time that goes into the recorded move.
    """

    def __init__(
        self,
        version: ModelVersion,
        models: DeployedModels,
        metrics: Metrics,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self.version = version
        self._models = models
        self._metrics = metrics
        self._now = now
        self._late = settings.promotion.late_vote_seconds
        self._guard = Guard(settings.promotion, float(settings.trading.maximum_drawdown))
        self._over = False
        #: What came of its verdicts, oldest first, and on how many instants it gave them.
        self._lived: list[Experience] = []
        self._instants = 0
        #: How fast a replay goes says nothing, nor when a portfolio reaches an agent beside it.
        self._timed = settings.clock == "system"

    def voted(self, seconds: float) -> Breach | None:
        """Take in how long a vote took."""
        if not self._timed:
            return None
        late = self._guard.observe(Guardrail.LATENCY, float(seconds > self._late))
        return self._guard.observe(Guardrail.ERRORS, 0.0) or late

    def failed(self) -> Breach | None:
        """Take in that a vote failed."""
        return None if not self._timed else self._guard.observe(Guardrail.ERRORS, 1.0)

    def observed(self, message: Message) -> "Breach | ClaimedEdge | None":
        """Take in what became of earlier votes, and of the portfolio."""
        if isinstance(message, PortfolioUpdated) and self._timed:
            return self._guard.observe_equity(float(message.portfolio.equity))
        if isinstance(message, Experience):
            return self._learned(message)
        return None

    def _learned(self, experience: Experience) -> "Breach | ClaimedEdge | None":
        from agents.verdicts import proved_right  # noqa: PLC0415 - imports torch

        agent = self.version.agent_type
        score = experience.scores.get(agent)
        if score is None or experience.model_versions.get(agent) != self.version.label:
            return None
        denied = self._supported(score, experience)
        right = proved_right(agent, score, experience)
        if right is None:
            return denied
        confidence = experience.confidences_ppm.get(agent, 0) / MILLION
        breach = self._guard.observe(Guardrail.CALIBRATION, (confidence - right) ** 2)
        return denied or breach or self._ended(experience)

    def _supported(self, score: int, experience: Experience) -> Breach | None:
        """Take in whether a limit denied the order, where it was executed with this support."""
        if experience.outcome is not Outcome.EXECUTE or score < ACCEPTANCE:
            return None
        return self._guard.observe(Guardrail.LIMITS, float(LIMIT_BREACH in experience.realised))

    def _ended(self, experience: Experience) -> "ClaimedEdge | None":
        """Ask whether what the verdicts claim has ended, whenever a horizon of them is complete.

        In between it is not asked: the test's rate of false alarms is that of whole horizons.
        """
        from evaluation.claimed_edge import claimed_edge  # noqa: PLC0415 - imports torch

        later = not self._lived or experience.occurred_at > self._lived[-1].occurred_at
        complete = later and self._instants > 0 and self._instants % experience.horizon_days == 0
        agent, label = self.version.agent_type, self.version.label
        found = claimed_edge(agent, label, self._lived) if complete else None
        self._lived.append(experience)
        self._instants += later
        return found if found is not None and found.ended else None

    def take_back(self, breach: "Breach | ClaimedEdge") -> bool:
        """Take the version back; returns whether it was. Slow: call it beside the votes."""
        if self._over:
            return False
        self._over = True
        agent = self.version.agent_type
        try:
            move = self._models.take_back(
                agent,
                self.version.version,
                actor=f"guard:{agent}",
                reason=breach.reason,
                evidence=sha256(encode(breach)).hexdigest(),
                occurred_at=self._now(),
            )
        except QuorumError as problem:
            _log.exception("a breach without a way back", model=self.version.label)
            self._metrics.count(Metric.MODEL_ROLLBACKS, agent=agent, outcome=type(problem).__name__)
            return False
        if move is None:
            return False
        self._metrics.count(Metric.MODEL_ROLLBACKS, agent=agent, outcome=move.after)
        _log.error("model taken back", model=self.version.label, reason=breach.reason)
        return True
