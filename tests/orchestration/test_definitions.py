"""The asset graph is what it is meant to be, and looking at it costs next to nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import defs

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("asset_graph.json")
HEAVY = {
    "torch",
    "optuna",
    "mlflow",
    "dagster_mlflow",
    "pandas",
    "great_expectations",
    "skfolio",
    "talib",
    "exchange_calendars",
    "sqlalchemy",
}

_LIGHT = """
import resource, sys
import orchestration.definitions
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, *sys.modules)
"""


def test_importing_the_definitions_stays_light():
    run = subprocess.run(
        [sys.executable, "-c", _LIGHT], capture_output=True, text=True, cwd=ROOT, check=True
    )
    _, *modules = run.stdout.split()
    assert not HEAVY & set(modules)


_THREADS = """
import dagster, orchestration.definitions, numpy, threadpoolctl, torch
found = threadpoolctl.threadpool_info()
assert any(each["user_api"] == "blas" for each in found)
print({each["num_threads"] for each in found}, torch.get_num_threads())
"""


def test_arithmetic_has_one_thread_whatever_the_machine():
    bare = {n: v for n, v in os.environ.items() if not n.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-c", _THREADS], capture_output=True, text=True, cwd=ROOT, check=True,
        env=bare,
    )  # fmt: skip
    assert run.stdout.split() == ["{1}", "1"]


def graph() -> dict[str, dict[str, object]]:
    """Return key → what a change of must be meant."""
    known = defs.resolve_asset_graph()
    found = {}
    for key in sorted(known.get_all_asset_keys()):
        node = known.get(key)
        found[key.to_user_string()] = {
            "group": node.group_name,
            "depends on": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitioned": node.partitions_def is not None,
            "checks": sorted(check.name for check in node.check_keys),
        }
    return found


def test_the_graph_is_as_drawn():
    """If the change is meant: QUORUM_TEST_WRITE_SNAPSHOT=1 pytest tests/orchestration."""
    found = json.dumps(graph(), indent=2) + "\n"
    if os.environ.get("QUORUM_TEST_WRITE_SNAPSHOT"):
        SNAPSHOT.write_text(found)
    assert found == SNAPSHOT.read_text()


def test_every_asset_says_what_it_is_and_whose():
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.description, name
        assert spec.owners, name
        assert spec.kinds, name
        assert spec.code_version, name
        assert "stage" in spec.tags, name


def test_a_year_of_lookback_and_more_is_declared_for_features():
    known = defs.resolve_asset_graph()
    mapping = known.get_partition_mapping(dg.AssetKey("features"), dg.AssetKey("bars"))
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert mapping.start_offset == -31


def test_jobs_schedules_and_sensors_are_there_and_run_by_default():
    repository = defs.get_repository_def()
    assert {s.name: s.default_status.value for s in repository.schedule_defs} == {
        "daily_market_data": "RUNNING",
        "daily_experiences": "RUNNING",
        "hourly_tree_head": "RUNNING",
        "daily_second_store": "RUNNING",
        "hourly_health": "RUNNING",
    }
    assert {s.name: s.default_status.value for s in repository.sensor_defs} == {
        "report_quality_of_failed_runs": "RUNNING",
        "retrain_on_experience": "RUNNING",
        "climb_rungs": "RUNNING",
        "update_online": "RUNNING",
        "close_trials_of_failed_runs": "RUNNING",
        "close_trials_of_cancelled_runs": "RUNNING",
    }
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {
        "market_data",
        "models",
        "batch",
        "collect_experiences",
        "sign_tree_heads",
        "retrain_execution",
        "trials",
        "walk_forward",
        "search_execution",
    } <= jobs


@pytest.mark.parametrize(
    "command", ["dagster definitions validate -w workspace.yaml", "dg check defs"]
)
def test_the_checkout_is_a_workspace_that_dagster_accepts(command, tmp_path):
    tool, *arguments = command.split()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    run = subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
