"""`quorum stress`."""

from typing import TYPE_CHECKING

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping


@app.command(epilog="Example: quorum stress")
def stress(*, as_json: Json = False) -> None:
    """Put the deployed champions through crashes, shocks and mad agents; write the table as a page.

    Crashes of the past whose days are stored are traded as they were; else their index moves are
    laid over the newest bars. Nothing is sent anywhere.
    """
    settings = load_settings(clock="event")
    from orchestration.stress import (  # noqa: PLC0415 (keeps the command line quick)
        run_stress,
        write_page,
    )

    rows = run_stress(settings)
    page = write_page(settings, rows)
    if as_json:
        print_json({"scenarios": rows, "page": page})
        return
    print_table(
        "Stress: before the scenario to its end",
        (
            "scenario",
            "market",
            "held still",
            "at the limit",
            "platform",
            "worst day",
            "denied",
            "ways out",
        ),
        [
            (
                row.scenario + (" (stored bars)" if row.historical else ""),
                *(
                    f"{x:+.1%}"
                    for x in (row.market, row.held, row.at_limit, row.platform, row.worst_day)
                ),
                _counts(row.denials),
                _counts(row.exits),
            )
            for row in rows
        ],
    )
    console.print(f"The whole table: {page}")


def _counts(numbers: "Mapping[str, int]") -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items()) or "none"
