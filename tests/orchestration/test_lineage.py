"""Lineage both ways: from a decision to the training rows, from a data version to decisions."""

import json
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import polars as pl
import pytest

from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.memory import MemoryModelRegistry
from adapters.model_registry.signing import ModelKeys
from domain.errors import NotOnRecord
from domain.identity import derive_id
from domain.settings import Settings
from domain.voting import AgentId, ConsensusResult, CountedVote, Outcome, Thresholds
from orchestration import lineage
from orchestration.command_line.application import run
from tests.builders import proposal

AGENT = AgentId.EXECUTION
UNTIL = "2012-09-01T00:00:00Z"


@pytest.fixture
def registry(tmp_path):
    return MemoryModelRegistry(ModelKeys(tmp_path / "keys"))


@pytest.fixture
def version(registry, tmp_path):
    def make(name: str, data: str, parent=None):
        folder = tmp_path / name
        folder.mkdir()
        files = {
            "model.safetensors": name.encode(),
            "model.json": json.dumps({"trained_until": UNTIL}).encode(),
        }
        for each, content in files.items():
            (folder / each).write_bytes(content)
        hashes = {each: sha256(content).hexdigest() for each, content in files.items()}
        (folder / "manifest.json").write_text(json.dumps({"agent": AGENT, "files": hashes}))
        return registry.register(
            AGENT, folder, metrics={}, run_id="r1", data_version=data, code_version="c",
            parent_version=parent,
        )  # fmt: skip

    return make


def decision(name: str, label: str) -> ConsensusResult:
    made = proposal(name)
    counted = CountedVote(
        agent_id=AGENT, message_id=name, score=80, confidence_ppm=1, weight=1, rationale="",
        risk_assessment={}, model_version=label,
    )  # fmt: skip
    return ConsensusResult(
        message_id=derive_id("decision", made.proposal_id),
        correlation_id=made.correlation_id,
        occurred_at=made.occurred_at,
        proposal=made,
        outcome=Outcome.EXECUTE,
        reason="consensus",
        weighted_score=None,
        variance=None,
        participation=1,
        degraded=False,
        counted=(counted,),
        ignored=(),
        rule_version="1",
        thresholds=Thresholds(),
    )


@pytest.fixture
def recorded(monkeypatch, registry, tmp_path):
    """Put decisions on record, and three rows of features, one of them after the training."""

    def put(*decisions):
        days = [datetime(2012, 8, day, tzinfo=UTC) for day in (1, 2)]
        days.append(datetime(2012, 9, 3, tzinfo=UTC))
        rows = pl.DataFrame(
            {"symbol": ["IBM"] * 3, "timestamp": days},
            schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
        )

        class Store:
            def read(self, _):
                return rows

        class Record:
            def __init__(self, _):
                pass

            def messages(self, _):
                return decisions

        monkeypatch.setattr(lineage, "open_time_series", lambda _: Store())
        monkeypatch.setattr(lineage, "LedgerRecord", Record)
        monkeypatch.setattr(lineage, "open_model_registry", lambda _: registry)
        monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
        return Settings(home=tmp_path)

    return put


def test_from_a_decision_to_the_rows_that_its_models_learned_from(recorded, version):
    one = version("one", "d1")
    two = version("two", "d2", parent=1)
    made = decision("p1", two.label)
    settings = recorded(made, decision("p2", one.label))
    (model,) = lineage.learned_from(settings, made.decision_id[:12])
    assert (model.label, model.ancestors, model.run_id) == (two.label, [one.label], "r1")
    assert (model.data_version, model.trained_until) == ("d2", datetime(2012, 9, 1, tzinfo=UTC))
    (rows,) = model.rows
    assert (rows.symbol, rows.rows, rows.last) == ("IBM", 2, datetime(2012, 8, 2, tzinfo=UTC))


def test_from_a_data_version_to_all_decisions_it_touched_by_descendants_too(recorded, version):
    one = version("one", "d1")
    two = version("two", "d2", parent=1)
    other = version("three", "d3")
    made = [decision(f"p{i}", v.label) for i, v in enumerate((one, two, other, two))]
    settings = recorded(*made)

    def touched(data):
        return [found.decision_id for found in lineage.decided_by(settings, data)]

    assert touched("d1") == [made[i].decision_id for i in (0, 1, 3)]
    assert touched("d2") == [made[i].decision_id for i in (1, 3)]
    assert touched("d3") == [made[2].decision_id]


@pytest.mark.parametrize("unknown", ["", "nothing"])
def test_what_is_not_on_record_is_told(recorded, unknown):
    settings = recorded()
    with pytest.raises(NotOnRecord):
        lineage.learned_from(settings, unknown)
    with pytest.raises(NotOnRecord):
        lineage.decided_by(settings, unknown)


def test_both_commands_print_json(recorded, version, capsys):
    one = version("one", "d1")
    made = decision("p1", one.label)
    recorded(made)
    assert run(["lineage", "decision", made.decision_id, "--json"]) == 0
    (model,) = msgspec.json.decode(capsys.readouterr().out)
    assert model["rows"][0]["rows"] == 2
    assert run(["lineage", "data", "d1", "--json"]) == 0
    (found,) = msgspec.json.decode(capsys.readouterr().out)
    assert found["versions"] == [one.label]
    assert run(["lineage", "data", "d1"]) == 0
    assert "Decisions: 1" in capsys.readouterr().out


def test_models_are_installed_only_with_a_true_signature(recorded, version, tmp_path):
    one = version("one", "d1")
    settings = recorded(decision("p1", one.label))
    lineage.learned_from(settings, derive_id("decision", proposal("p1").proposal_id))
    assert DeployedModels.of(settings).version(AGENT, 1).version == one
