"""Counting and timing as a port; the names live in `domain.metrics`."""

from typing import Protocol

from domain.metrics import Metric


class Metrics(Protocol):
    """One registry a process."""

    def count(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def gauge(self, metric: Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        ...
