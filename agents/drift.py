"""How unlike the training data a row of inputs is.

The drift score is the root mean square of the inputs, each standardised by the training rows'
mean and standard deviation, divided by the value that 999 in 1,000 training rows stay below. Up
to 1 the inputs are such as were learned from. `agents.assessment.in_doubt` says what it does to an
agent's say.
"""

import msgspec
import numpy as np

from agents.price_history import Floats

_FAMILIAR_SHARE = 0.999
_LEAST_DEVIATION = 1e-9
_PLACES = 9


class InputStatistics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the training rows were like, input by input.

    Parameters
    ----------
    mean, deviation
        In the order of the model's inputs.
    reach
        Root mean square of standardised inputs that 999 in 1,000 rows stay below.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    reach: float

    def drift_score(self, inputs: Floats) -> float:
        """Return the drift score of one row of inputs."""
        size = float(_sizes(inputs, np.array(self.mean), np.array(self.deviation)))
        return round(size / self.reach, _PLACES)


def input_statistics(rows: Floats) -> InputStatistics:
    """Return the statistics of training rows (rows × inputs)."""
    deviation = rows.std(axis=0)
    mean = rows.mean(axis=0).round(_PLACES)
    deviation = np.where(deviation > _LEAST_DEVIATION, deviation, 1.0).round(_PLACES)
    reach = float(np.quantile(_sizes(rows, mean, deviation), _FAMILIAR_SHARE))
    return InputStatistics(
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        reach=round(max(reach, _LEAST_DEVIATION), _PLACES),
    )


def _sizes(rows: Floats, mean: Floats, deviation: Floats) -> Floats:
    return np.sqrt((((rows - mean) / deviation) ** 2).mean(axis=-1))
