"""A model in memory: its network, and the specification that is stored beside the weights."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl
import torch

from agents.calibration import Knots
from agents.drift import InputStatistics
from agents.market_analyst.patterns.track_record import TrackRecord
from agents.network import PolicyNetwork, tensor_of
from agents.price_history import Floats
from agents.rounding import PLACES
from domain.voting import AgentId

#: What each agent's network gives out, in order.
OUTPUTS: dict[AgentId, tuple[str, ...]] = {
    AgentId.MARKET_ANALYST: ("expected_return", "direction_logit"),
    AgentId.RISK_MANAGER: ("log_variance",),
    AgentId.PORTFOLIO_OPTIMIZER: ("preference",),
    AgentId.EXECUTION: ("log_relative_volume", "log_range"),
}


class Specification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `model.json` holds: everything of a model that is not a tensor.

    Parameters
    ----------
    agent
        Whose model it is.
    architecture
        ``classic`` (the hand-set policy alone) or ``residual`` (policy plus learned correction).
    inputs, outputs, hidden_units
        Feature names in order, output names in order, and the width of the correction.
    horizon_days
        Trading days that the outputs look ahead.
    trained_until
        End of the data that the model was trained on, calibration included.
    score, confidence
        Support → score, and support → probability that executing proves right.
    calibrations
        Further knots that the agent needs, by name.
    constants
        Further numbers that the agent needs, by name.
    patterns
        What patterns were worth in the market that the model saw, by `Pattern.key`.
    seen
        What its inputs were like in training (`agents.drift`); older models have none.
    updated_until
        End of the outcomes that its calibration was updated with since (`agents.learning.online`);
        None for a model as training left it.
    """

    agent: AgentId
    architecture: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    hidden_units: int
    horizon_days: int
    trained_until: datetime
    score: Knots
    confidence: Knots
    calibrations: dict[str, Knots] = {}
    constants: dict[str, float] = {}
    patterns: dict[str, TrackRecord] = {}
    seen: InputStatistics | None = None
    updated_until: datetime | None = None
    format_version: int = 1


@dataclass(frozen=True)
class Model:
    """A network and its specification, ready to be asked."""

    specification: Specification
    network: PolicyNetwork

    def predict(self, rows: Floats) -> Floats:
        """Return the outputs for rows of inputs, rounded to six places; NaN in, NaN out."""
        with torch.inference_mode():
            outputs = self.network(tensor_of(np.ascontiguousarray(rows)))
        values: Floats = outputs.numpy()  # pyright: ignore[reportUnknownMemberType]
        return values.round(PLACES)

    def inputs_of(self, features: dict[str, float]) -> Floats | None:
        """Return the inputs from named features; None where one is missing."""
        values = np.array([features.get(name, np.nan) for name in self.specification.inputs])
        return values if np.isfinite(values).all() else None

    def drift(self, features: dict[str, float]) -> float:
        """Return the drift score of named features; 0 where one or the statistics are missing."""
        inputs, seen = self.inputs_of(features), self.specification.seen
        return 0.0 if inputs is None or seen is None else seen.drift_score(inputs)

    def drivers(self, inputs: Floats, output: int, count: int = 3) -> list[tuple[str, float]]:
        """Return the `count` inputs that move `output` most: name and gradient × input.

        The input is taken as its distance from the training mean where the model has one.
        """
        point = tensor_of(inputs).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.network(point)[output], point)
        center = self.network.input_mean.numpy() if self.network.hidden_units else 0.0
        effects = np.round(gradient.numpy() * (inputs - center), PLACES)
        order = np.argsort(-np.abs(effects), kind="stable")[:count]
        return [(self.specification.inputs[i], float(effects[i])) for i in order]


class Epoch(NamedTuple):
    """Mean loss on the training and on the tuning rows after an epoch."""

    training: float
    tuning: float


@dataclass(frozen=True)
class TrainedModel:
    """A model with what is known of how it came about and how good it is.

    Parameters
    ----------
    metrics
        Measured on the validation slice, which neither training nor calibration has seen.
    loss_curve
        One entry per epoch; empty for a classic policy.
    rows
        Number of samples by slice: training, tuning, validation; and of the replay buffer's
        transitions among those learned from: experiences.
    validation
        Own-task skill on the validation slice, per sample (see `agents.validation`).
    """

    model: Model
    metrics: dict[str, float]
    loss_curve: list[Epoch]
    rows: dict[str, int]
    seed: int
    validation: pl.DataFrame = field(default_factory=pl.DataFrame)
