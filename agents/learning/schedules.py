"""How a setting changes while learning goes on."""

from typing import NamedTuple


class Linear(NamedTuple):
    """From `first` at the beginning to `last` at the end, in a straight line."""

    first: float
    last: float

    def at(self, progress: float) -> float:
        """Return the value when the share `progress` of all learning (0–1) is done."""
        return self.first + (self.last - self.first) * min(max(progress, 0.0), 1.0)


def constant(value: float) -> Linear:
    """Return the schedule that never changes."""
    return Linear(value, value)
