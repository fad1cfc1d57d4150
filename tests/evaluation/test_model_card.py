"""The card says what the gate said."""

import json
from datetime import UTC, datetime

from domain.models import DeploymentStatus, ModelVersion
from domain.voting import AgentId
from evaluation import gate
from evaluation.model_card import ModelCard, render_card, write_card


def _card():
    checks = (gate.look_ahead_check(0, 10), gate.skill_check([0.0] * 50, metric="Brier score"))
    model = ModelVersion(
        model_id="quorum-market_analyst",
        version=2,
        agent_type=AgentId.MARKET_ANALYST,
        performance_metrics={"brier": 0.248},
        deployment_status=DeploymentStatus.ABORTED,
        created_at=datetime(2012, 9, 1, tzinfo=UTC),
        model_artifacts={"model.safetensors": "ab" * 32},
        data_version="d" * 64,
        code_version="c" * 40,
    )
    return ModelCard(
        model=model,
        gate=gate.judge(AgentId.MARKET_ANALYST, model.label, "market_analyst@1:0", checks),
        task="Judged by the Brier score of its probabilities.",
        training={"Rows": "12,154"},
        limits=("Daily bars of large US stocks only.",),
    )


def test_page_shows_verdict_checks_and_files():
    html = render_card(_card())
    for text in ("Market Analyst, version 2", "refused", "look-ahead", "not better", "ab" * 32,
                 "Daily bars of large US stocks only."):  # fmt: skip
        assert text in html
    assert "plotly" not in html
    assert html == render_card(_card())


def test_json_and_page_are_written_side_by_side(tmp_path):
    page, data = write_card(_card(), tmp_path / "card")
    read = json.loads(data.read_text())
    assert read["gate"]["verdict"] == "refused"
    assert read["model"]["version"] == 2
    assert page.read_text().startswith("<!doctype html>")
