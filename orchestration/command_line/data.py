"""`quorum quarantine`."""

from typing import Annotated

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import print_json, print_table


@app.command(epilog="Example: quorum quarantine --symbol ACME --limit 5")
def quarantine(
    *,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 20,
    as_json: Json = False,
) -> None:
    """List rows of the data that are no good bars, where they stand, and why.

    They are kept as they were found. Mend them at their source and run `quorum train` again.
    """
    settings = load_settings()
    import polars as pl  # noqa: PLC0415 (keeps the command line quick)

    from adapters.time_series import open_time_series  # noqa: PLC0415
    from domain.ports.time_series import Table  # noqa: PLC0415

    found = open_time_series(settings).read(Table.QUARANTINE)
    if symbol is not None and not found.is_empty():
        found = found.filter(pl.col("symbol") == symbol)
    shown = found.head(limit)
    if as_json:
        print_json(shown.to_dicts())
        return
    rows = [
        (row["source"], row["symbol"], row["reason"], row["record"])
        for row in shown.iter_rows(named=True)
    ]
    print_table(
        f"In quarantine: {found.height}, shown: {shown.height}",
        ("source", "symbol", "reason", "what stood there"),
        rows,
        empty="Nothing is in quarantine.",
    )
