"""Trials: made again bit for bit, searched, measured as of a past day, and all in the ledger.

On a planted world of two symbols, by the Execution agent, which is the quickest to train.
"""

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from safetensors.torch import save

from adapters.model_registry import mlflow_uri
from adapters.model_registry.mlflow import mlflow_client
from adapters.time_series import open_time_series
from agents.indicators import compute_frame
from assets import training
from assets.training import best_learning, made_again
from assets.trials import EXPERIMENT, past_trials, read_artifact, trials_of
from domain.errors import InvalidValue, ModelRefused
from domain.ports.time_series import Table
from domain.settings import Settings, TrainingSettings
from domain.voting import AgentId
from evaluation.worlds import edge_world
from orchestration.definitions import definitions
from orchestration.pipeline import dagster_instance

AGENT = AgentId.EXECUTION
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def world():
    bars = edge_world(seed=3, days=700, symbols=("ALPHA", "BRAVO")).bars
    return bars, compute_frame(bars)


@pytest.fixture(scope="module")
def settings(tmp_path_factory, world):
    bars, features = world
    home = tmp_path_factory.mktemp("trials") / "home"
    cutoff = bars["timestamp"].unique().sort()[600].date()
    made = Settings(home=home, data_folder=home, training=TrainingSettings(until=cutoff))
    store = open_time_series(made)
    store.write(Table.BARS, bars)
    store.write(Table.FEATURES, features)
    return made


@pytest.fixture(scope="module")
def run(settings):
    """Run a job's asset of the Execution agent and return what it made."""

    def once(job, asset, config=None, partition=None):
        key = dg.AssetKey([AGENT.value, asset])
        ops = {f"{AGENT}__{asset}": {"config": config}} if config else {}
        with dagster_instance(settings) as instance:
            result = (
                definitions(settings)
                .resolve_job_def(job)
                .execute_in_process(
                    asset_selection=[key],
                    instance=instance,
                    partition_key=partition,
                    run_config={"ops": ops, **_QUIET},
                )
            )
        value = result.asset_value(key) if partition is None else None
        return value, result.asset_materializations_for_node(f"{AGENT}__{asset}")[0]

    return once


@pytest.fixture(scope="module")
def trained(run):
    return run("models", "trained_model")[0]


@pytest.fixture
def ledger(settings):
    client = mlflow_client(mlflow_uri(settings))
    return SimpleNamespace(
        tracking_client=client, experiment=client.get_experiment_by_name(EXPERIMENT)
    )


def weights(model):
    return sha256(save(dict(sorted(model.network.state_dict().items())))).hexdigest()


def files_of(record):
    return json.loads((Path(record.folder) / "manifest.json").read_text())["files"]


def test_a_trial_holds_all_that_it_takes_to_make_it_again(trained, ledger):
    manifest = read_artifact(ledger, trained.run_id, "manifest.json")
    assert set(manifest) == {
        "agent", "kind", "until", "seed", "tables", "code_version", "settings", "learning",
        "data_version",
    }  # fmt: skip
    assert manifest["data_version"] == trained.data_version
    stored = {f.path for f in ledger.tracking_client.list_artifacts(trained.run_id)}
    assert stored == {"manifest.json", "losses.json", "loss.svg", "model"}
    params = ledger.tracking_client.get_run(trained.run_id).data.params
    assert params["rows_experiences"] == "0"
    assert int(params["rows_training"]) > 0


def test_a_past_training_is_made_again_bit_for_bit_though_data_was_corrected_since(
    trained, ledger, settings, world
):
    store = open_time_series(settings)
    late = world[0].head(5).with_columns(pl.col("volume") * 3)
    store.write(Table.BARS, late)
    assert (
        weights(made_again(ledger, trained.run_id, store).model)
        == files_of(trained)["model.safetensors"]
    )
    store.write(Table.BARS, world[0].head(5))


def test_other_code_is_told_not_run(trained, ledger, settings, monkeypatch):
    monkeypatch.setattr(training, "CODE_VERSION", "other")
    with pytest.raises(ModelRefused, match="this is other"):
        made_again(ledger, trained.run_id, open_time_series(settings))


def test_a_model_as_of_a_day_is_the_one_that_was_trained_then(trained, run, settings):
    day = settings.training.until.isoformat()
    _, made = run("walk_forward", "as_of_model", partition=day)
    folder = settings.home / "training" / AGENT
    version = made.tags["dagster/data_version"]
    manifest = json.loads((folder / version / "manifest.json").read_text())
    assert manifest["files"] == files_of(trained)
    ahead = made.metadata["instants_in_the_quarter_after"].value
    assert 40 <= ahead <= 65
    earlier = (settings.training.until - timedelta(days=70)).isoformat()
    _, before = run("walk_forward", "as_of_model", partition=earlier)
    assert before.tags["dagster/data_version"] != version


def test_a_search_remembers_what_was_tried_and_training_takes_the_best(run, ledger, settings):
    before = len(trials_of(ledger, AGENT))
    first, _ = run("search_execution", "search", {"trials": 2})
    assert (first.remembered, first.tried, first.failed) == (0, 2, 0)
    second, _ = run("search_execution", "search", {"trials": 1})
    assert second.remembered == 2
    assert second.least_tuning_loss <= first.least_tuning_loss
    assert len(trials_of(ledger, AGENT)) == before + 3
    best = best_learning(ledger, AGENT)
    assert {name: getattr(best, name) for name in second.best} == pytest.approx(second.best)
    again, _ = run("models", "trained_model")
    assert again.learning["hidden_units"] == best.hidden_units
    past = past_trials(ledger, AGENT, again.run_id)
    assert past.count == before + 4
    assert again.run_id in past.losses
    assert len({len(found) for found in past.losses.values()}) == 1


def test_a_try_that_fails_is_a_trial_and_does_not_end_the_search(run, ledger, monkeypatch):
    def broken(*_args):
        raise InvalidValue("The loss is not finite.", next_step="Lower the learning rate.")

    before = len(trials_of(ledger, AGENT))
    monkeypatch.setattr(training, "trained_by", broken)
    found, _ = run("search_execution", "search", {"trials": 2})
    assert found.failed == 2
    runs = trials_of(ledger, AGENT)
    assert len(runs) == before + 2
    assert {run.info.status for run in runs[:2]} == {"FAILED"}
