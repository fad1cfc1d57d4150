"""`quorum replay`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_fields, print_json, print_table

if TYPE_CHECKING:
    from consensus.replay import Divergence

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"]


@app.command(epilog="Example: quorum replay --from 2012-09-01 --to 2012-10-01 --diff")
def replay(
    *,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=_FORMATS, help="From this instant on (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=_FORMATS, help="Before this instant (UTC)."),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show every field that differs.", metavar="")
    ] = False,
    content: Annotated[
        bool,
        typer.Option(
            "--content",
            help="Use what the decisions hold, even where the journal has the inputs.",
            metavar="",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make recorded decisions again with the present code; ends with 1 if one comes out otherwise.

    The engine hears its recorded inputs again and every event must come out byte for byte. Where
    the journal no longer has them, each decision is made again from what it holds itself.
    """
    from consensus.replay import Interval  # noqa: PLC0415 (keeps the command line quick)
    from orchestration.time_travel import replay_decisions  # noqa: PLC0415

    interval = Interval(since=_utc(since), until=_utc(until))
    found = replay_decisions(load_settings(), interval, content=content)
    divergences = [divergence for part in found for divergence in part.divergences]
    if as_json:
        print_json({"same": not divergences, "partitions": found})
    else:
        print_fields(
            {
                "Events": sum(part.events for part in found),
                "Made again from": ", ".join(sorted({part.method for part in found})) or "nothing",
                "Different": len(divergences),
            }
        )
        _print_divergences(divergences, diff=diff)
    if divergences:
        raise typer.Exit(1)


def _print_divergences(divergences: "Sequence[Divergence]", *, diff: bool) -> None:
    if not divergences:
        console.print("Every decision comes out as it is recorded.")
    elif diff:
        rows = [
            (d.message_id, change.field, change.recorded, change.again)
            for d in divergences
            for change in d.differences
        ]
        print_table("Differences", ("id", "field", "recorded", "now"), rows)
    else:
        rows = [
            (d.message_id, d.type, f"{d.occurred_at:%Y-%m-%d %H:%M:%S}", _fields(d))
            for d in divergences
        ]
        print_table("Different", ("id", "type", "when", "fields"), rows)


def _fields(divergence: "Divergence") -> str:
    if divergence.sequence is None:
        return "not on record"
    if all(change.again == "absent" for change in divergence.differences):
        return "not made again"
    return ", ".join(change.field for change in divergence.differences)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
