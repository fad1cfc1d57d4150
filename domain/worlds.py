"""The planted worlds that can be asked for by name."""

from enum import StrEnum


class World(StrEnum):
    """What is planted: an edge that lasts, or one that turns into its opposite."""

    EDGE = "edge"
    BREAK = "break"


class SimulatedWorld(StrEnum):
    """What is planted where months of a model's life are simulated; nothing, too."""

    EDGE = "edge"
    BREAK = "break"
    NONE = "none"
