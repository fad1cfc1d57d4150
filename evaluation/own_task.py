"""What each agent is judged by first: the losses of its own task, instant by instant."""

from typing import NamedTuple

import polars as pl

from agents.learning.samples import HORIZON_DAYS
from domain.voting import AgentId
from evaluation.arrays import Floats
from evaluation.skill import instant_means


class Measure(NamedTuple):
    """The own-task loss of an agent.

    Parameters
    ----------
    column, sign
        Of `agents.validation.validation_metrics`, and what makes it a loss.
    overlap
        Instants that the outcome of one sample spans.
    costs
        Whether trading costs enter.
    """

    column: str
    sign: float
    title: str
    overlap: int
    costs: bool


MEASURES = {
    AgentId.MARKET_ANALYST: Measure("brier", 1.0, "Brier score", HORIZON_DAYS, costs=True),
    AgentId.RISK_MANAGER: Measure(
        "qlike", 1.0, "QLIKE of the variance forecast", HORIZON_DAYS, costs=False
    ),
    AgentId.PORTFOLIO_OPTIMIZER: Measure(
        "log_return", -1.0, "log return after costs", 1, costs=True
    ),
    # Volume comes in waves of days, so a week of errors counts once.
    AgentId.EXECUTION: Measure(
        "volume_error", 1.0, "error of the volume forecast", HORIZON_DAYS, costs=False
    ),
}


def losses(agent: AgentId, samples: pl.DataFrame) -> Floats:
    """Return the own-task loss at each instant, in order of time: the mean over its samples.

    Samples of one instant share that day's market, so together they are one observation.
    """
    measure = MEASURES[agent]
    return instant_means(
        samples["timestamp"].to_list(), measure.sign * samples[measure.column].to_numpy()
    )
