"""What was decided, and why."""

from typing import Annotated

import typer

from domain.settings import load_settings
from domain.voting import Outcome
from orchestration.command_line.application import Json, app
from orchestration.command_line.figures import print_last, print_throughput
from orchestration.command_line.printing import print_json, print_table


@app.command(epilog="Example: quorum decisions --symbol AAPL --outcome EXECUTE --limit 5")
def decisions(
    *,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only this outcome.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    last: Annotated[
        bool, typer.Option("--last", help="Each symbol's last one, with its price now.", metavar="")
    ] = False,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Count those of the last so many minutes instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List decisions, oldest first, with the reason and both figures of the rule."""
    from orchestration.record import read_side  # noqa: PLC0415 (keeps the command line quick)

    if last:
        print_last(symbol, as_json=as_json)
        return
    if per_minute is not None:
        print_throughput(per_minute, as_json=as_json)
        return
    with read_side(load_settings()) as queries:
        found = queries.decisions(symbol=symbol, outcome=outcome, limit=limit)
    if as_json:
        print_json(found.to_dicts())
        return
    columns = (
        "id",
        "when",
        "symbol",
        "action",
        "quantity",
        "score",
        "variance",
        "outcome",
        "reason",
    )
    rows = (
        (
            row["decision_id"],
            f"{row['occurred_at']:%Y-%m-%d %H:%M}",
            row["symbol"],
            row["action"],
            f"{row['quantity']:g}",
            "" if row["weighted_score"] is None else f"{row['weighted_score']:.1f}",
            "" if row["variance"] is None else f"{row['variance']:.1f}",
            row["outcome"],
            row["reason"],
        )
        for row in found.iter_rows(named=True)
    )
    print_table(
        f"Decisions: {found.height}",
        columns,
        rows,
        empty="No such decision is on record; `quorum demo` or `quorum up` makes some.",
    )


@app.command(epilog="Example: quorum explain 5f0c1e")
def explain(
    identifier: Annotated[
        str,
        typer.Argument(
            help="A decision, proposal, vote, order, fill or tick: its id, or how that begins."
        ),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Print the whole walk of one decision or order: tick, votes, rule, order, fills, P&L.

    With model and data versions, training runs, hashes and places in the logs. Where an id is not
    told in full and several begin so, they are listed, and the command ends with 2.
    """
    from orchestration.command_line.walk import print_candidates, print_walk  # noqa: PLC0415
    from orchestration.walks import find_walk  # noqa: PLC0415

    found = find_walk(load_settings(), identifier)
    if isinstance(found, list):
        print_candidates(found, as_json=as_json)
        raise typer.Exit(2)
    if as_json:
        print_json(found)
    else:
        print_walk(found)
