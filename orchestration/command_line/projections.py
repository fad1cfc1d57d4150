"""`quorum projections`: how far the read side is, and making it again from the logs."""

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table

projections = typer.Typer(
    no_args_is_help=True, help="Look after the tables that are filled from the logs."
)
app.add_typer(projections, name="projections", epilog="Example: quorum projections status")


@projections.command("status", epilog="Example: quorum projections status --json")
def status(*, as_json: Json = False) -> None:
    """Tell how far the read side is behind each log; ends with 1 where something is missing."""
    from orchestration.projections import read_side_standings  # noqa: PLC0415 (as in record.py)

    found = read_side_standings(load_settings())
    if as_json:
        print_json([{**each._asdict(), "events_behind": each.events} for each in found])
    else:
        rows = [
            (
                each.log,
                each.partition,
                each.recorded,
                each.projected,
                each.events,
                "" if each.seconds is None else f"{each.seconds:.1f}",
                "never" if each.caught_up_at is None else f"{each.caught_up_at:%F %T} UTC",
            )
            for each in found
        ]
        columns = ("log", "partition", "recorded", "projected", "behind", "seconds", "complete at")
        print_table("Projections", columns, rows, empty="Nothing is on record yet.")
    if any(each.events for each in found):
        raise typer.Exit(1)


@projections.command("rebuild", epilog="Example: quorum projections rebuild")
def rebuild(*, as_json: Json = False) -> None:
    """Make the read side again from the logs, and switch to it; readers and services go on."""
    from orchestration.projections import rebuild_read_side  # noqa: PLC0415

    events = rebuild_read_side(load_settings())
    if as_json:
        print_json({"events": events})
    else:
        console.print(f"Made again from {events} events; readers see the new one.")


@projections.command("verify", epilog="Example: quorum projections verify --json")
def verify(*, as_json: Json = False) -> None:
    """Make the read side again beside the one in use, and compare; ends with 1 if they differ."""
    from orchestration.projections import verify_read_side  # noqa: PLC0415

    found = verify_read_side(load_settings())
    if as_json:
        print_json(
            {
                "events": found.events,
                "different": found.different,
                "live": found.live,
                "rebuilt": found.rebuilt,
            }
        )
    else:
        rows = [
            (name, "differs" if name in found.different else "equal", digest)
            for name, digest in found.live.items()
        ]
        print_table(f"Made again from {found.events} events", ("table", "", "SHA-256"), rows)
    if found.different:
        raise typer.Exit(1)
