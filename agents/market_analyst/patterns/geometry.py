"""What a found pattern is: a name, a direction, and the points and lines that were seen."""

from typing import NamedTuple


class Point(NamedTuple):
    """A place on the chart: a bar's close instant in microseconds, and a price."""

    time: int
    price: float


class Line(NamedTuple):
    """A straight line between two points, on the scale of bars."""

    start: Point
    end: Point


class Pattern(NamedTuple):
    """A pattern that was found.

    Parameters
    ----------
    direction
        1 where textbooks expect a rise, -1 a fall, 0 neither.
    confirmed
        Close instant of the bar that completed it: nothing later was read.
    points
        The extremes that make it, oldest first.
    lines
        Boundaries, from its first bar to its confirmation.
    """

    name: str
    direction: int
    confirmed: int
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def key(self) -> str:
        """Name and direction: what a track record is kept of."""
        return f"{self.name}, {('neutral', 'up', 'down')[self.direction]}"
