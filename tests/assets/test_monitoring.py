from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from agents.indicators import FEATURE_NAMES
from agents.learning.experiences import experience_frame
from assets.monitoring import edges_last, monitoring
from domain.experience import Experience
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import Action, AgentId, Outcome

START = datetime(2020, 1, 1, tzinfo=UTC)


def lived(day, *, right):
    """Return what comes of an acceptance that claims to be right three times in four."""
    return Experience(
        message_id=str(day),
        correlation_id="",
        occurred_at=START + timedelta(days=day),
        decision_id=str(day),
        symbol="AAA",
        state={},
        action=Action.BUY,
        outcome=Outcome.EXECUTE,
        reward=Decimal("0.01") if right else Decimal("-0.01"),
        next_state={},
        horizon_days=1,
        agent_contributions={},
        scores={AgentId.MARKET_ANALYST: 80},
        confidences_ppm={AgentId.MARKET_ANALYST: 750_000},
        model_versions={AgentId.MARKET_ANALYST: "market_analyst@1"},
    )


@pytest.fixture
def health(tmp_path):
    """Return a function: experiences → what the monitoring asset says."""
    for agent in AgentId:
        (tmp_path / agent).mkdir()
        (tmp_path / agent / "model.json").write_text('{"trained_until": "2020-01-01T00:00:00Z"}')

    def materialized(experiences):
        days = [START + timedelta(days=day) for day in range(200)]
        features = pl.DataFrame(
            {"symbol": ["AAA"] * 200, "timestamp": days}
            | {name: [float(day % 10) for day in range(200)] for name in FEATURE_NAMES}
        )
        tables = {Table.FEATURES: features, Table.EXPERIENCES: experience_frame(experiences)}
        deployed = SimpleNamespace(
            current=lambda agent: SimpleNamespace(
                version=SimpleNamespace(label=f"{agent}@1"), folder=tmp_path / agent
            )
        )
        store = SimpleNamespace(read=lambda table: tables[table])
        found = monitoring(store=store, settings=Settings(), deployed=deployed)
        assert isinstance(found, dg.MaterializeResult)
        return found.value

    return materialized


def test_an_edge_that_ends_fails_the_check(health):
    while_it_lasts = [lived(day, right=day % 4 > 0) for day in range(80)]
    after_it = [lived(80 + day, right=day % 2 > 0) for day in range(80)]
    found = edges_last(health(while_it_lasts))
    assert found.passed
    found = edges_last(health(while_it_lasts + after_it))
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert "market_analyst@1: Verdicts claim 75.0% right" in found.description
    statistics = {name: value.value for name, value in found.metadata.items()}
    assert statistics["market_analyst"] > 0.0
    assert statistics["execution"] == 0.0


def test_champions_without_experiences_are_not_doubted(health):
    found = health([])
    assert edges_last(found).passed
    assert {c.edge.verdicts for c in found.champions} == {0}
