"""How well an agent does its own task: the skill of one model's losses over another's.

Each agent is judged by its own task first (`agents.validation` gives the losses). Every loss is
smaller-is-better; skill is incumbent loss minus candidate loss, so positive skill means that the
candidate is better.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from domain.errors import InvalidValue
from evaluation.arrays import Floats, Series, finite, same_length


def squared_error(probabilities: Series, outcomes: Series) -> Floats:
    """Brier loss of each forecast."""
    return (finite(probabilities, "probabilities") - finite(outcomes, "outcomes")) ** 2


def paired_skill(
    timestamps: Sequence[datetime], incumbent_loss: Series, candidate_loss: Series
) -> Floats:
    """Skill of the candidate at each instant, in order of time: the mean over that instant.

    Samples of one day share that day's market; counting them as independent would overstate
    what is known, so each instant is one observation.
    """
    old, new = finite(incumbent_loss, "incumbent loss"), finite(candidate_loss, "candidate loss")
    same_length(old, new, "Losses")
    if len(timestamps) != len(old):
        raise InvalidValue("Losses and timestamps differ in length.", next_step="Pair them first.")
    return instant_means(timestamps, old - new)


def instant_means(timestamps: Sequence[datetime], values: Floats) -> Floats:
    """Return the mean over each instant, in order of time."""
    if len(values) == 0:
        return values
    instants = np.array([t.timestamp() for t in timestamps])
    _, where = np.unique(instants, return_inverse=True)
    return np.bincount(where, weights=values) / np.bincount(where)
