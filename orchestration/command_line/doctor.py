"""`quorum doctor`."""

from typing import Annotated

import typer

from domain.settings import load_settings, setting_names
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import print_json, print_table


@app.command(epilog="Example: quorum doctor --settings")
def doctor(
    *,
    settings: Annotated[
        bool, typer.Option("--settings", help="List every setting instead.", metavar="")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell what is missing or wrong on this machine, and how to mend it.

    Ends with 0 where all is well, with 4 where something has to be mended.
    """
    if settings:
        names = setting_names()
        if as_json:
            print_json(names)
        else:
            print_table("Settings", ("variable", "what it sets"), names.items())
        return
    from orchestration.doctor import examine  # noqa: PLC0415 (keeps the command line quick)

    findings = list(examine(load_settings()))
    if as_json:
        print_json([finding._asdict() | {"well": finding.well} for finding in findings])
    else:
        rows = [(f"{'✓' if f.well else '✗'} {f.subject}", f.found, f.remedy) for f in findings]
        print_table("This machine", ("part", "found", "what to do"), rows)
    if not all(finding.well for finding in findings):
        raise typer.Exit(4)
