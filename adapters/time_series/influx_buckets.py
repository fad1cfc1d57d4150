"""Buckets with retention, and the tasks that fill the down-sampled ones."""

from collections.abc import Iterable
from typing import NamedTuple

from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.task_create_request import TaskCreateRequest
from influxdb_client.rest import ApiException

from adapters.time_series.influx_access import InfluxAccess
from domain.errors import EnvironmentProblem
from domain.ports.time_series import Table
from domain.settings import TimeSeriesSettings

_DAY_SECONDS = 86_400
#: How OHLCV bars become longer ones; other numbers become their mean.
_BAR = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


class Prepared(NamedTuple):
    """What was made, or brought to what the settings say; the rest was so already."""

    buckets: tuple[str, ...]
    tasks: tuple[str, ...]


class _Downsampling(NamedTuple):
    table: Table
    every: str
    suffix: str


_DOWNSAMPLED = (
    _Downsampling(Table.BARS, "1w", "weekly"),
    _Downsampling(Table.QUOTES, "1m", "minutes"),
    _Downsampling(Table.METRICS, "1h", "hourly"),
)


def prepare(access: InfluxAccess, settings: TimeSeriesSettings) -> Prepared:
    """Make the buckets and tasks that are missing; doing so again changes nothing.

    Raises
    ------
    EnvironmentProblem
        If the server refuses, or is not there.
    """
    base = settings.influxdb_bucket
    kept = {base: settings.influxdb_retention_days} | {
        f"{base}_{each.suffix}": settings.influxdb_downsampled_days for each in _DOWNSAMPLED
    }
    try:
        buckets = [name for name, days in kept.items() if _bucket(access, name, days)]
        tasks = list(_tasks(access, base))
    except ApiException as problem:
        raise EnvironmentProblem(
            f"InfluxDB refuses to make buckets or tasks ({problem.status}).",
            kept="Those made before stay.",
            next_step="Give QUORUM_TIME_SERIES__INFLUXDB_TOKEN the right to make them.",
        ) from problem
    return Prepared(tuple(buckets), tuple(tasks))


def downsampling_flux(table: Table, every: str, source: str, target: str) -> str:
    """Return the task's Flux without its options.

    Bars keep first, highest, lowest, last and sum; of other tables' numbers the mean is taken.
    Texts, and the store's own fields, are left out: these buckets are for looking, not for models.
    """
    rows = (
        f'from(bucket: "{source}")\n'
        f"  |> range(start: -task.every)\n"
        f'  |> filter(fn: (r) => r._measurement == "{table}")\n'
    )
    if table is Table.BARS:
        wanted: Iterable[tuple[str, str]] = (
            (f'r._field == "{field}"', how) for field, how in _BAR.items()
        )
    else:
        wanted = (('types.isType(v: r._value, type: "float")', "mean"),)
    parts = [
        f"{rows}  |> filter(fn: (r) => {condition})\n"
        f"  |> aggregateWindow(every: {every}, fn: {how}, createEmpty: false)\n"
        f'  |> to(bucket: "{target}")'
        for condition, how in wanted
    ]
    return 'import "types"\n\n' + "\n\n".join(parts)


def _bucket(access: InfluxAccess, name: str, days: int) -> bool:
    """Make a bucket, or set its retention; say whether anything was done."""
    api = access.client.buckets_api()
    seconds = days * _DAY_SECONDS
    found = api.find_bucket_by_name(name)
    rules = [BucketRetentionRules(type="expire", every_seconds=seconds)] if seconds else []
    if found is None:
        api.create_bucket(bucket_name=name, retention_rules=rules, org=access.organization)
        return True
    present = sum(rule.every_seconds for rule in found.retention_rules or [])
    if present == seconds:
        return False
    found.retention_rules = rules
    api.update_bucket(found)
    return True


def _tasks(access: InfluxAccess, base: str) -> Iterable[str]:
    api = access.client.tasks_api()
    known = {task.name for task in api.find_tasks(limit=500)}
    for table, every, suffix in _DOWNSAMPLED:
        name = f"{base} {table} {suffix}"
        if name in known:
            continue
        flux = downsampling_flux(table, every, base, f"{base}_{suffix}")
        option = f'option task = {{name: "{name}", every: {every}}}\n\n'
        imports, _, body = flux.partition("\n\n")
        api.create_task(
            task_create_request=TaskCreateRequest(
                flux=f"{imports}\n\n{option}{body}", org=access.organization, status="active"
            )
        )
        yield name
