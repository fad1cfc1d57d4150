"""`quorum stress` puts the champions of this machine through the scenarios."""

import json
from datetime import timedelta

import pytest

from domain.errors import DataQualityError
from domain.settings import Settings
from evaluation.stress_scenarios import SCENARIOS
from orchestration.command_line.application import run
from orchestration.stress import run_stress
from tests.agents.conftest import START, make_bars
from tests.orchestration.trading_home import settle

CHOSEN = tuple(s for s in SCENARIOS if s.name in {"1987", "All agents mad"})


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.stress.SCENARIOS", CHOSEN)
    return settle(tmp_path, make_bars(), START + timedelta(days=560))


def test_the_command_prints_the_table_and_writes_the_page(settings, monkeypatch, capsys):
    monkeypatch.setenv("QUORUM_HOME", str(settings.home))
    assert run(["stress", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    crash, mad = told["scenarios"]
    assert (crash["scenario"], crash["historical"]) == ("1987", False)
    assert crash["market"] == pytest.approx(227.67 / 314.52 - 1, abs=0.03)
    assert mad["denials"]["maximum_order_value"] == mad["orders"] > 0
    assert "All agents mad" in (settings.home / "reports" / "stress.html").read_text()
    assert run(["stress"]) == 0
    printed = capsys.readouterr().out
    assert "1987" in printed
    assert "stress.html" in printed


def test_without_bars_there_is_nothing_to_stress(tmp_path):
    with pytest.raises(DataQualityError, match="No bar is stored"):
        run_stress(Settings(home=tmp_path, clock="event"))
