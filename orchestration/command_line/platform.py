"""`quorum up`, `quorum status`, `quorum down`."""

from typing import TYPE_CHECKING

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table

if TYPE_CHECKING:
    from orchestration.platform import ProcessReport


@app.command(epilog="Example: QUORUM_HOME=~/desk quorum up")
def up() -> None:
    """Run the platform in the foreground until Ctrl-C, and restart what dies.

    Databases, consensus, gateway, projections, four agents, review desk, MLflow and Dagster; prints
    where each listens.
    """
    settings = load_settings()
    from orchestration.platform import run_platform  # noqa: PLC0415

    run_platform(settings, console)


@app.command(epilog="Example: quorum status --json")
def status(*, as_json: Json = False) -> None:
    """Tell which processes run and whether each is ready; ends with 1 where one is not."""
    settings = load_settings()
    from orchestration.platform import platform_status  # noqa: PLC0415

    found = platform_status(settings)
    if as_json:
        print_json([process._asdict() for process in found])
    else:
        rows = [(p.name, p.state, p.pid or "", p.url, _told(p)) for p in found]
        print_table("Processes", ("process", "state", "pid", "address", "problems"), rows)
    if not all(process.state == "ready" for process in found):
        raise typer.Exit(1)


def _told(process: "ProcessReport") -> str:
    """Return what is wrong with a process, or else how far it is behind, where it says so."""
    behind = process.details.get("events_behind")
    if process.problems or not behind:
        return "; ".join(process.problems)
    return f"{behind} events, {process.details.get('seconds_behind')} s behind"


@app.command(epilog="Example: quorum down")
def down(*, as_json: Json = False) -> None:
    """Stop the platform that `quorum up` runs in this state folder; all state is kept."""
    settings = load_settings()
    from orchestration.platform import stop_platform  # noqa: PLC0415

    stopped = stop_platform(settings)
    if as_json:
        print_json({"stopped": stopped})
    else:
        console.print("Stopped; all state is kept." if stopped else "Nothing was running.")
