"""`quorum price-relatives`."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import print_json, print_table


@app.command(
    "price-relatives",
    epilog="Example: quorum price-relatives nyse.parquet --cost-bps 15",
)
def price_relatives(
    table: Annotated[
        Path,
        typer.Argument(
            help="Parquet or CSV, one row a day, one column an asset: close over the close before."
        ),
    ],
    *,
    cost_bps: Annotated[
        float,
        typer.Option(min=0, max=5_000, help="Commission and half spread, bps of what is traded."),
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Follow the classic portfolios on any table of price relatives, through venue and ledger.

    One unit of cash each. Without costs, public tables give the figures that the literature
    prints; "best" ones know the table beforehand.
    """
    from evaluation.price_relatives import (  # noqa: PLC0415 (keeps the command line quick)
        WAYS,
        final_wealth,
        load_relatives,
    )

    relatives = load_relatives(table)
    found = {way: final_wealth(relatives, way, cost_bps=Decimal(str(cost_bps))) for way in WAYS}
    if as_json:
        days, assets = relatives.shape
        print_json({"days": days, "assets": assets, "cost_bps": cost_bps, "final_wealth": found})
        return
    print_table(
        f"Final wealth of 1, {relatives.shape[0]} days, {relatives.shape[1]} assets",
        ("portfolio", "wealth"),
        [(way, f"{wealth:.6g}") for way, wealth in found.items()],
    )
