"""Guardrails: when a served version is taken back, however often and on whatever it is looked at.

Each guardrail bets against "this rate is within its limit". Its wealth, the e-value, is a product
of fair or unfavourable bets while that is true, so it exceeds 1 / α at any time with probability
at most α (Ville), without any assumption on dependence or distribution beyond the observations'
range [0, 1] (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by
betting"). Over all guardrails of all agents the e-BH procedure (Wang & Ramdas 2022, "False
discovery rate control with e-values") keeps the expected share of false alarms at α, whatever the
dependence between them.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum

from domain.errors import InvalidValue
from domain.messages import Value
from domain.settings import PromotionSettings
from domain.voting import AgentId


class Guardrail(StrEnum):
    """What a served version is watched by."""

    ERRORS = "errors"
    LATENCY = "latency"
    CALIBRATION = "calibration"
    LIMITS = "limits"
    DRAWDOWN = "drawdown"


#: Hypotheses that one procedure watches over: all metrics of all agents.
FAMILY = len(Guardrail) * len(AgentId)
#: Bets, as shares of the largest that can't lose everything; the wealth is their average.
_BETS = (0.05, 0.1, 0.25, 0.5, 0.9)
#: Past e^300 nothing changes a verdict, and floats still hold it.
_MOST = 300.0


class EProcess:
    """The wealth of betting that observations in [0, 1] exceed `limit` on average.

    Parameters
    ----------
    limit
        Largest mean that is within the guardrail; inside (0, 1).
    """

    def __init__(self, limit: float) -> None:
        if not 0 < limit < 1:
            raise InvalidValue(
                f"A guardrail at {limit} can't be bet against.",
                next_step="Use a limit inside (0, 1).",
            )
        self._limit = limit
        self._logs = [0.0] * len(_BETS)
        self.observations = 0

    def observe(self, value: float) -> float:
        """Take in one observation and return the e-value after it.

        Raises
        ------
        InvalidValue
            If it is not in [0, 1].
        """
        if not 0 <= value <= 1:
            raise InvalidValue(
                f"{value} is not in [0, 1].", next_step="Scale what a guardrail observes."
            )
        self.observations += 1
        gain = value / self._limit - 1
        self._logs = [
            min(log + math.log1p(bet * gain), _MOST)
            for log, bet in zip(self._logs, _BETS, strict=True)
        ]
        return self.value

    @property
    def value(self) -> float:
        """The e-value so far."""
        return sum(math.exp(log) for log in self._logs) / len(_BETS)


class Breach(Value, frozen=True, kw_only=True):
    """A guardrail that rejected its limit, with what it rests on."""

    guardrail: Guardrail
    e_value: float
    needed: float
    limit: float
    observations: int

    @property
    def reason(self) -> str:
        """One sentence."""
        return (
            f"The guardrail on {self.guardrail} is breached: after {self.observations} "
            f"observations the evidence against its limit of {self.limit:g} is "
            f"{self.e_value:.3g}, {self.needed:.3g} was needed."
        )


def rejected(e_values: Sequence[float], alpha: float, family: int = FAMILY) -> list[int]:
    """Return which hypotheses e-BH rejects: the k with the largest values, k as large as it can be.

    Parameters
    ----------
    e_values
        Those known here; the family's others count as 0, which keeps the guarantee.
    """
    order = sorted(range(len(e_values)), key=lambda i: -e_values[i])
    passing = [k for k in range(1, len(order) + 1) if k * e_values[order[k - 1]] >= family / alpha]
    return sorted(order[: max(passing, default=0)])


class Guard:
    """The guardrails of one served version of one agent.

    Parameters
    ----------
    policy
        Limits and the accepted share of false alarms.
    maximum_drawdown
        Fall of equity from its peak since the version is live that is a breach at once.
    """

    def __init__(self, policy: PromotionSettings, maximum_drawdown: float) -> None:
        self._alpha = policy.guard_alpha
        self._limits: Mapping[Guardrail, float] = {
            Guardrail.ERRORS: policy.maximum_error_rate,
            Guardrail.LATENCY: policy.maximum_late_rate,
            Guardrail.CALIBRATION: policy.maximum_brier_score,
            Guardrail.LIMITS: policy.maximum_breach_rate,
        }
        self._processes = {name: EProcess(limit) for name, limit in self._limits.items()}
        self._maximum_drawdown = maximum_drawdown
        self._peak = 0.0

    @property
    def e_values(self) -> Mapping[Guardrail, float]:
        """The evidence against each limit."""
        return {name: process.value for name, process in self._processes.items()}

    def observe(self, guardrail: Guardrail, value: float) -> Breach | None:
        """Take in one observation in [0, 1]; returns the breach that it completes, if any."""
        self._processes[guardrail].observe(value)
        names = list(self._processes)
        found = rejected([self._processes[name].value for name in names], self._alpha)
        if not found:
            return None
        worst = max((names[i] for i in found), key=lambda name: self._processes[name].value)
        process = self._processes[worst]
        return Breach(
            guardrail=worst,
            e_value=process.value,
            needed=FAMILY / self._alpha / len(found),
            limit=self._limits[worst],
            observations=process.observations,
        )

    def observe_equity(self, equity: float) -> Breach | None:
        """Take in the portfolio's equity; a fall from the peak beyond the limit is a breach."""
        self._peak = max(self._peak, equity)
        drawdown = 1 - equity / self._peak if self._peak > 0 else 0.0
        if drawdown <= self._maximum_drawdown:
            return None
        return Breach(
            guardrail=Guardrail.DRAWDOWN,
            e_value=math.exp(_MOST),
            needed=0.0,
            limit=self._maximum_drawdown,
            observations=1,
        )
