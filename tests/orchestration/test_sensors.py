"""What is requested for which cursor, and when nothing is."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from adapters.time_series.memory import MemoryTimeSeries
from domain.model_life import ModelLife, Standing
from domain.models import DeploymentStatus
from domain.ports.time_series import Table
from domain.settings import OnlineLearningSettings, Settings, TrainingSettings
from domain.voting import AgentId
from orchestration import sensors
from orchestration.definitions import defs
from orchestration.schedules import daily_experiences, daily_market_data, hourly_tree_head
from orchestration.sensors import climb_rungs, retrain_on_experience, update_online

FRIDAY = datetime(2024, 5, 3, 22, 15, tzinfo=UTC)


def experiences(count: int) -> MemoryTimeSeries:
    store = MemoryTimeSeries()
    names = pl.Series("message_id", [f"m{i}" for i in range(count)], dtype=pl.String)
    rows = names.to_frame().with_columns(
        symbol=pl.lit("A"), timestamp=pl.lit(FRIDAY).cast(pl.Datetime("us", "UTC"))
    )
    store.write(Table.EXPERIENCES, rows)
    return store


@pytest.mark.parametrize(
    ("cursor", "stored", "requested", "cursor_after"),
    [
        (None, 0, None, None),
        (None, 49, None, None),
        (None, 50, "experiences-50", "50"),
        ("50", 50, None, "50"),
        ("50", 99, None, "50"),
        ("50", 100, "experiences-100", "100"),
        ("50", 500, "experiences-500", "500"),
        ("50", 0, None, "50"),  # the table was made anew
    ],
)
def test_new_experiences_start_a_retraining(tmp_path, cursor, stored, requested, cursor_after):
    settings = Settings(home=tmp_path, training=TrainingSettings(experiences_per_retraining=50))
    with dg.build_sensor_context(
        cursor=cursor, resources={"settings": settings, "store": experiences(stored)}
    ) as context:
        data = retrain_on_experience.evaluate_tick(context)
    assert [request.run_key for request in data.run_requests or []] == (
        [requested] if requested else []
    )
    assert (data.cursor or cursor) == cursor_after
    assert requested or "are needed" in data.skip_message


class Lives:
    """What a machine knows of its models: one version of one agent stands on a rung, or none."""

    def __init__(self, rung: DeploymentStatus | None):
        self._standings = {} if rung is None else {2: Standing(rung)}

    def life(self, agent: AgentId) -> ModelLife:
        return ModelLife(agent, self._standings if agent is AgentId.EXECUTION else {})


_IN_SHADOW = "execution@2:SHADOW 3"


@pytest.mark.parametrize(
    ("cursor", "rung", "stored", "cursor_after"),
    [
        (None, None, 3, None),
        (None, DeploymentStatus.SHADOW, 3, _IN_SHADOW),
        (_IN_SHADOW, DeploymentStatus.SHADOW, 3, _IN_SHADOW),
        (_IN_SHADOW, DeploymentStatus.SHADOW, 4, "execution@2:SHADOW 4"),
        (_IN_SHADOW, DeploymentStatus.CANARY_5, 3, "execution@2:CANARY_5 3"),
        (_IN_SHADOW, None, 9, _IN_SHADOW),
    ],
)
def test_what_is_on_trial_is_judged_when_something_new_is_known(
    tmp_path, monkeypatch, cursor, rung, stored, cursor_after
):
    monkeypatch.setattr(sensors.DeployedModels, "of", lambda _: Lives(rung))
    resources = {"settings": Settings(home=tmp_path), "store": experiences(stored)}
    with dg.build_sensor_context(cursor=cursor, resources=resources) as context:
        data = climb_rungs.evaluate_tick(context)
    requested = [f"trials-{cursor_after}"] if cursor_after != cursor else []
    assert [request.run_key for request in data.run_requests or []] == requested
    assert (data.cursor or cursor) == cursor_after


@pytest.mark.parametrize(
    ("cursor", "stored", "cursor_after", "skipped"),
    [
        (None, 0, None, "0 new experiences; 30 are needed"),
        (None, 29, None, "29 new experiences; 30 are needed"),
        (None, 30, "30 2024-05-03", ""),
        ("30 2024-04-26", 59, None, "29 new experiences; 30 are needed"),
        ("30 2024-04-26", 60, "60 2024-05-03", ""),
        ("30 2024-04-28", 60, "60 2024-05-03", ""),  # the cooldown has just passed
        ("30 2024-04-29", 60, None, "Day 4 of the 5 days between updates"),
        ("30 2024-05-03", 900, None, "Day 0 of the 5 days between updates"),
        ("60 2024-04-26", 0, None, "0 new experiences; 30 are needed"),  # the table was made anew
    ],
)
def test_calibration_is_updated_for_new_outcomes_after_a_cooldown(
    tmp_path, cursor, stored, cursor_after, skipped
):
    policy = OnlineLearningSettings(outcomes_per_update=30, cooldown_days=5)
    resources = {"settings": Settings(home=tmp_path, online=policy), "store": experiences(stored)}
    with dg.build_sensor_context(cursor=cursor, resources=resources) as context:
        data = update_online.evaluate_tick(context)
    requested = [f"online-{cursor_after}"] if cursor_after else []
    assert [request.run_key for request in data.run_requests or []] == requested
    assert (data.cursor or cursor) == (cursor_after or cursor)
    assert skipped in (data.skip_message or "")


def tick(schedule, settings: Settings):
    with dg.build_schedule_context(
        scheduled_execution_time=FRIDAY,
        resources={"settings": settings},
        repository_def=defs.get_repository_def(),
    ) as context:
        return schedule.evaluate_tick(context)


def test_your_own_data_is_read_daily_into_its_month(tmp_path):
    data = tick(daily_market_data, Settings(home=tmp_path, data_folder=tmp_path))
    assert [request.partition_key for request in data.run_requests] == ["2024-05-01"]


def test_the_packaged_sample_is_finished(tmp_path):
    data = tick(daily_market_data, Settings(home=tmp_path))
    assert not data.run_requests
    assert "sample" in data.skip_message


@pytest.mark.parametrize("schedule", [daily_experiences, hourly_tree_head])
def test_what_asks_the_ledger_runs_where_there_is_one(tmp_path, schedule):
    assert "nothing has traded" in tick(schedule, Settings(home=tmp_path)).skip_message
    url = "postgresql+psycopg://quorum@localhost/quorum"
    data = tick(schedule, Settings(home=tmp_path, ledger_url=url))
    assert len(data.run_requests) == 1
    (tmp_path / "servers" / "state" / "postgres").mkdir(parents=True)  # the embedded one's
    assert len(tick(schedule, Settings(home=tmp_path)).run_requests) == 1
