"""`quorum data`: how good the data is, and the stores that it is kept in."""

from enum import StrEnum
from typing import Annotated

import typer

from domain.ports.time_series import Table
from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table

data = typer.Typer(no_args_is_help=True, help="How good the data is, and the stores it is kept in.")
app.add_typer(data, name="data", epilog="Example: quorum data quality")


class Store(StrEnum):
    """The stores that can be filled from one another."""

    DELTA = "delta"
    INFLUXDB = "influxdb"


@data.command(epilog="Example: quorum data quality")
def quality(*, as_json: Json = False) -> None:
    """Tell what the checks of the latest runs found, and where their reports are."""
    from assets.quality_report import report_folder  # noqa: PLC0415 (keeps the command line quick)
    from evaluation.data_quality_report import Outcome, read_reports  # noqa: PLC0415

    folder = report_folder(load_settings())
    reports = sorted(read_reports(folder), key=lambda report: report.name, reverse=True)
    if as_json:
        print_json(reports)
        return
    rows = [
        (
            f"{report.started_at:%F %R}",
            report.outcome,
            report.count(Outcome.WARNED),
            report.count(Outcome.FAILED),
            report.rows_quarantined,
            folder / f"{report.name}.html",
        )
        for report in reports
    ]
    columns = ("started", "outcome", "warned", "failed", "in quarantine", "report")
    print_table("Data quality", columns, rows, empty="No run has checked data yet.")


@data.command(epilog="Example: quorum data health --json")
def health(*, as_json: Json = False) -> None:
    """Tell which assets are healthy, warn, are degraded or unknown, and why."""
    from orchestration.data_stores import health_now  # noqa: PLC0415

    found = health_now(load_settings())
    if as_json:
        print_json(found)
        return
    rows = [(a.facts.asset, a.health, a.reason) for a in found]
    print_table("Asset health", ("asset", "health", "why"), rows)


@data.command(epilog="Example: quorum data sync influxdb --table bars")
def sync(
    target: Annotated[Store, typer.Argument(help="The store that is to be filled.")],
    *,
    table: Annotated[
        list[Table] | None, typer.Option(help="Only this table; may be given again.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fill one store from the other: the same rows, and what was known when.

    A backfill and the daily step are the same command; one that was cut off goes on.
    """
    from orchestration.data_stores import fill  # noqa: PLC0415

    found = fill(load_settings(), target.value, table or list(Table))
    if as_json:
        print_json([each._asdict() for each in found])
        return
    rows = [
        (each.table, each.written, each.replayed, "yes" if each.same else "no") for each in found
    ]
    columns = ("table", "rows written", "instants replayed", "same version")
    print_table(f"Filled {target}", columns, rows)


@data.command(epilog="Example: quorum data prepare")
def prepare(*, as_json: Json = False) -> None:
    """Make InfluxDB's buckets with their retention, and the tasks that down-sample."""
    from orchestration.data_stores import prepare_influxdb  # noqa: PLC0415

    made = prepare_influxdb(load_settings())
    if as_json:
        print_json(made._asdict())
        return
    console.print(f"Buckets: {', '.join(made.buckets) or 'all there'}")
    console.print(f"Tasks: {', '.join(made.tasks) or 'all there'}")
