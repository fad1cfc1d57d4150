"""The metrics port over `prometheus_client`, and the page that lists every metric.

``python -m adapters.metrics > docs/metrics.md`` writes that page.
"""

import sys
from collections.abc import Mapping
from threading import Lock
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from domain.errors import ConfigurationError
from domain.metrics import Metric, MetricSpec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Kind = Literal["counter", "gauge", "histogram"]
_INTRODUCTION = """\
# Metrics

Every process answers `/metrics` with those of these metrics that it has touched.
This page is made from `domain/metrics.py`: `python -m adapters.metrics > docs/metrics.md`.

| name | kind | labels | what it tells |
|---|---|---|---|
"""


class PrometheusMetrics:
    """`domain.ports.metrics.Metrics` over one registry of `prometheus_client`.

    A metric is registered on first use, so a process exposes only what it touches. Safe to call
    from several threads.

    Parameters
    ----------
    registry
        Where metrics are registered; a fresh one by default. One a process.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._registered: dict[Metric, Counter | Gauge | Histogram] = {}
        self._children: dict[tuple[object, ...], Counter | Gauge | Histogram] = {}
        self._lock = Lock()

    def count(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Add `amount` (0 or more) to a counter.

        Raises
        ------
        ConfigurationError
            If the metric is no counter, its labels are others, or `amount` is below zero.
        """
        if not amount >= 0:
            raise ConfigurationError(
                f"{metric.value.name} counts up only, not by {amount}.",
                next_step="Use a gauge for what can fall.",
            )
        child = self._child(metric, "counter", labels)
        if isinstance(child, Counter):
            child.inc(amount)

    def gauge(self, metric: Metric, value: float, **labels: str) -> None:
        """Set a gauge.

        Raises
        ------
        ConfigurationError
            If the metric is no gauge, or its labels are others.
        """
        child = self._child(metric, "gauge", labels)
        if isinstance(child, Gauge):
            child.set(value)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add an observation to a histogram.

        Raises
        ------
        ConfigurationError
            If the metric is no histogram, or its labels are others.
        """
        child = self._child(metric, "histogram", labels)
        if isinstance(child, Histogram):
            child.observe(value)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _child(
        self, metric: Metric, kind: _Kind, labels: Mapping[str, str]
    ) -> Counter | Gauge | Histogram:
        # Checked once: a metric is touched far more often than it gets new labels.
        touched = (metric, kind, *labels.items())
        child = self._children.get(touched)
        if child is None:
            child = self._children[touched] = self._checked(metric, kind, labels)
        return child

    def _checked(
        self, metric: Metric, kind: _Kind, labels: Mapping[str, str]
    ) -> Counter | Gauge | Histogram:
        spec = metric.value
        if spec.kind != kind:
            raise ConfigurationError(
                f"{spec.name} is a {spec.kind}, not a {kind}.",
                next_step="Call the method of its kind.",
            )
        if labels.keys() != set(spec.labels):
            raise ConfigurationError(
                f"{spec.name} has the labels {sorted(spec.labels)}, not {sorted(labels)}.",
                next_step="Give exactly the labels that domain/metrics.py lists.",
            )
        with self._lock:
            parent = self._registered.get(metric)
            if parent is None:
                parent = self._registered[metric] = self._register(spec)
        return parent.labels(**labels) if labels else parent

    def _register(self, spec: MetricSpec) -> Counter | Gauge | Histogram:
        match spec.kind:
            case "counter":
                return Counter(spec.name, spec.help, spec.labels, registry=self.registry)
            case "gauge":
                return Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
            case "histogram":
                return Histogram(
                    spec.name, spec.help, spec.labels, registry=self.registry, buckets=spec.buckets
                )


def metrics_page() -> str:
    """Return `docs/metrics.md`."""
    specs = sorted((metric.value for metric in Metric), key=lambda spec: spec.name)
    rows = (
        f"| `{spec.name}` | {spec.kind} | "
        f"{', '.join(f'`{label}`' for label in spec.labels) or '–'} | {spec.help} |\n"
        for spec in specs
    )
    return _INTRODUCTION + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
