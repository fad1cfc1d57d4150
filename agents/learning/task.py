"""What training hands to each agent, and what each agent answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from agents.assessment import Abstention, Assessment
from agents.calibration import Knots, constant
from agents.drift import input_statistics
from agents.learning.loop import LearningSettings
from agents.learning.samples import HORIZON_DAYS, Panel, Slices
from agents.learning.trials import Trial, Trials
from agents.market_analyst.patterns.track_record import TrackRecord
from agents.model import OUTPUTS, Epoch, Model, Specification
from agents.network import PolicyNetwork
from agents.price_history import Floats, PriceHistory
from agents.scores import NO_OBJECTION, even_support, score_knots
from domain.errors import DataQualityError
from domain.settings import TradingSettings
from domain.voting import AgentId


@dataclass(frozen=True)
class Lesson:
    """Everything one agent is trained and calibrated on.

    Parameters
    ----------
    until
        End of the data; labels too lie before it.
    trials
        Makes the trial proposals of the tuning slice; called only by agents that need them.
    histories
        Symbol → bars before `until`.
    """

    slices: Slices
    until: datetime
    limits: TradingSettings
    trials: Callable[[], Trials]
    histories: Mapping[str, PriceHistory]
    experiences: pl.DataFrame | None = field(default=None)


class Skill(NamedTuple):
    """Own-task skill numbers, one row per sample: losses are better the smaller they are."""

    symbols: list[str]
    times: list[int]
    values: dict[str, Floats]

    def frame(self) -> pl.DataFrame:
        """Return symbol, timestamp, and the numbers, one row per sample."""
        return pl.DataFrame(
            {"symbol": self.symbols, "timestamp": self.times, **self.values}
        ).with_columns(pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


class Task(Protocol):
    """What an agent's `training` module offers."""

    @property
    def INPUTS(self) -> tuple[str, ...]:  # noqa: N802 - a module's constant
        """Features that the network reads."""
        ...

    @property
    def LEARNING(self) -> LearningSettings:  # noqa: N802 - a module's constant
        """How the network is fitted."""
        ...

    def policy(self, network: PolicyNetwork) -> None:
        """Set the classic policy's weights."""
        ...

    def learn(
        self, network: PolicyNetwork, lesson: Lesson, settings: LearningSettings
    ) -> list[Epoch]:
        """Fit the correction."""
        ...

    def calibrate(self, network: PolicyNetwork, lesson: Lesson) -> Model:
        """Return the model with score and confidence fitted on the tuning slice."""
        ...

    def skill(self, model: Model, rows: Panel, limits: TradingSettings) -> Skill:
        """Return the model's own-task skill, per sample."""
        ...

    def naive(self, rows: Panel, past: Panel, limits: TradingSettings) -> dict[str, Skill]:
        """Return the skill of forecasts that anyone could make, knowing the rows `past`."""
        ...

    def summary(self, model: Model, rows: Panel, limits: TradingSettings) -> dict[str, float]:
        """Return figures that are no mean of per-sample numbers."""
        ...


def draft(
    agent: AgentId,
    inputs: tuple[str, ...],
    network: PolicyNetwork,
    lesson: Lesson,
    *,
    constants: dict[str, float] | None = None,
    calibrations: dict[str, Knots] | None = None,
    patterns: dict[str, TrackRecord] | None = None,
    score: Knots | None = None,
    confidence: Knots | None = None,
) -> Model:
    """Return a model of `network`; what isn't calibrated yet is indifferent."""
    return Model(
        Specification(
            agent=agent,
            architecture="residual" if network.hidden_units else "classic",
            inputs=inputs,
            outputs=OUTPUTS[agent],
            hidden_units=network.hidden_units,
            horizon_days=HORIZON_DAYS,
            trained_until=lesson.until,
            score=score or constant(50.0),
            confidence=confidence or constant(0.5),
            calibrations=calibrations or {},
            constants=constants or {},
            patterns=patterns or {},
            seen=input_statistics(lesson.slices.training.columns(inputs)),
        ),
        network,
    )


class Verdicts(NamedTuple):
    """Trials that the agent had a say on: its judgements and the trials' places in the list."""

    assessments: list[Assessment]
    places: list[int]

    @property
    def supports(self) -> Floats:
        """The judgements' supports."""
        return np.array([assessment.support for assessment in self.assessments])


def verdicts(judgements: list[Assessment | Abstention]) -> Verdicts:
    """Return all judgements that are no abstention.

    Raises
    ------
    DataQualityError
        If there are none: nothing could be calibrated.
    """
    places = [i for i, j in enumerate(judgements) if isinstance(j, Assessment)]
    if not places:
        raise DataQualityError(
            "Nothing was proposed on the tuning days, so no agent's score can be calibrated.",
            next_step="Give more history before the cutoff.",
        )
    return Verdicts([j for j in judgements if isinstance(j, Assessment)], places)


def score_from(supports: Floats, chance: Knots) -> Knots:
    """Return support → score: 75 where the chance that executing proves right is one half."""
    return score_knots(supports, even_support(chance), highest=NO_OBJECTION)


def judged(trials: Trials, assess: Callable[[Trial], Assessment | Abstention]) -> Verdicts:
    """Return the judgements that `assess` gives on the trials."""
    return verdicts(trials.assessed(assess))
