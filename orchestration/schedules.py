"""What runs by the clock."""

from collections.abc import Iterator

import dagster as dg

from assets.partitions import MONTHS
from domain.settings import Profile, Settings
from orchestration.jobs import (
    collect_experiences,
    fill_second_store,
    health,
    market_data,
    sign_tree_heads,
)


@dg.schedule(
    job=market_data,
    cron_schedule="15 22 * * 1-5",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The month under way, after New York has closed; the packaged sample is finished.",
)
def daily_market_data(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request the current month's bars and features."""
    if settings.data_folder is None:
        yield dg.SkipReason("The packaged sample does not change; set QUORUM_DATA_FOLDER.")
        return
    when = context.scheduled_execution_time
    yield dg.RunRequest(
        run_key=when.isoformat(), partition_key=when.strftime(MONTHS.fmt.replace("%d", "01"))
    )


@dg.schedule(
    job=collect_experiences,
    cron_schedule="45 22 * * 1-5",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Experiences that matured today, where there is a live plane.",
)
def daily_experiences(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request the experiences, unless nothing ever traded here."""
    yield from _where_traded(context, settings)


@dg.schedule(
    job=sign_tree_heads,
    cron_schedule="5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: what is signed can't be cut or rewritten unseen.",
)
def hourly_tree_head(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a signed head, unless nothing ever traded here."""
    yield from _where_traded(context, settings)


@dg.schedule(
    job=fill_second_store,
    cron_schedule="15 23 * * 1-5",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="What the day brought, where there is an InfluxDB.",
)
def daily_second_store(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request that the second store is filled."""
    if not settings.time_series.influxdb_url:
        yield dg.SkipReason("No InfluxDB is set.")
        return
    yield dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


@dg.schedule(
    job=health,
    cron_schedule="25 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: what is stale by now, and what failed.",
)
def hourly_health(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request the health of all assets."""
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


def _where_traded(
    context: dg.ScheduleEvaluationContext, settings: Settings
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    has_url = bool(settings.ledger_url.get_secret_value())
    if settings.profile is Profile.EMBEDDED and not has_url and not _ever_traded(settings):
        yield dg.SkipReason("There is no ledger yet: nothing has traded.")
        return
    yield dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


def _ever_traded(settings: Settings) -> bool:
    return (settings.home / "servers" / "state" / "postgres").is_dir()


SCHEDULES = (
    daily_market_data,
    daily_experiences,
    daily_second_store,
    hourly_tree_head,
    hourly_health,
)
