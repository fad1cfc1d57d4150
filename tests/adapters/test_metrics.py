from pathlib import Path
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics import PrometheusMetrics, metrics_page
from domain.errors import ConfigurationError
from domain.metrics import Metric
from domain.ports.metrics import Metrics


def sample(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_answers_the_port():
    metrics: Metrics = PrometheusMetrics()
    metrics.count(Metric.ORDERS, status="FILLED")


def test_counts_sets_and_observes():
    metrics = PrometheusMetrics()
    metrics.count(Metric.DECISIONS, outcome="EXECUTE", reason="consensus")
    metrics.count(Metric.DECISIONS, 2, outcome="EXECUTE", reason="consensus")
    metrics.gauge(Metric.OPEN_ROUNDS, 4)
    metrics.gauge(Metric.OPEN_ROUNDS, 3)
    metrics.observe(Metric.COMMIT_BATCH, 7)
    labels = {"outcome": "EXECUTE", "reason": "consensus"}
    assert sample(metrics, "quorum_decisions_total", **labels) == 3
    assert sample(metrics, "quorum_open_rounds") == 3
    assert sample(metrics, "quorum_commit_batch_events_bucket", le="5.0") == 0
    assert sample(metrics, "quorum_commit_batch_events_bucket", le="10.0") == 1
    assert sample(metrics, "quorum_commit_batch_events_sum") == 7


def test_every_metric_of_the_table_is_exposed_under_its_name():
    metrics = PrometheusMetrics()
    for metric in Metric:
        labels = dict.fromkeys(metric.value.labels, "x")
        call = {"counter": metrics.count, "gauge": metrics.gauge, "histogram": metrics.observe}
        call[metric.value.kind](metric, 1, **labels)
    families = text_string_to_metric_families(metrics.exposition().decode())
    exposed = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    assert {metric.value.name for metric in Metric} <= exposed


def test_a_metric_that_nobody_touched_is_not_exposed():
    metrics = PrometheusMetrics(CollectorRegistry())
    metrics.gauge(Metric.EQUITY, 1)
    assert b"quorum_portfolio_equity 1.0" in metrics.exposition()
    assert b"quorum_open_rounds" not in metrics.exposition()


@pytest.mark.parametrize("labels", [{}, {"group": "a"}, {"group": "a", "stream": "b", "x": "c"}])
def test_wrong_labels_are_refused(labels):
    with pytest.raises(ConfigurationError, match="has the labels"):
        PrometheusMetrics().count(Metric.MESSAGES_CONSUMED, **labels)


def test_the_wrong_kind_and_a_falling_counter_are_refused():
    metrics = PrometheusMetrics()
    with pytest.raises(ConfigurationError, match="is a gauge"):
        metrics.count(Metric.OPEN_ROUNDS)
    with pytest.raises(ConfigurationError, match="counts up only"):
        metrics.count(Metric.ORDERS, -1, status="FILLED")


def test_threads_share_one_registration():
    metrics = PrometheusMetrics()

    def work() -> None:
        for _ in range(500):
            metrics.count(Metric.FILLS, side="BUY")

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sample(metrics, "quorum_fills_total", side="BUY") == 4000


def test_the_page_is_made_from_the_table():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == metrics_page(), "run: python -m adapters.metrics > docs/metrics.md"


def test_every_metric_is_named_like_its_kind():
    for spec in (metric.value for metric in Metric):
        assert spec.name.startswith("quorum_")
        assert spec.name.endswith("_total") == (spec.kind == "counter")
        assert spec.help.endswith(".")
    assert len({metric.value.name for metric in Metric}) == len(Metric)
