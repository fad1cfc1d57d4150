"""What was decided, and why."""

from typing import Annotated

import typer

from domain.errors import InvalidValue
from domain.settings import load_settings
from domain.voting import Outcome
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import print_json, print_table


@app.command(epilog="Example: quorum decisions --symbol AAPL --outcome EXECUTE --limit 5")
def decisions(
    *,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only this outcome.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List decisions, oldest first, with the reason and both figures of the rule."""
    from orchestration.record import read_side  # noqa: PLC0415 (keeps the command line quick)

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


@app.command(epilog="Example: quorum explain q-5f0c…")
def explain(
    identifier: Annotated[str, typer.Argument(help="A decision, proposal, order or fill.")],
    *,
    as_json: Json = False,
) -> None:
    """Print the whole walk of one decision or order: tick, votes, rule, order, fills, P&L."""
    from consensus.explain import explain as walk_of  # noqa: PLC0415
    from orchestration.command_line.walk import print_walk  # noqa: PLC0415
    from orchestration.record import read_side  # noqa: PLC0415

    with read_side(load_settings()) as queries:
        walk = walk_of(queries.walk(identifier))
    if walk is None:
        raise InvalidValue(
            f"Nothing on record has the id {identifier}.",
            next_step="`quorum decisions` lists the ids of decisions.",
        )
    if as_json:
        print_json(walk)
    else:
        print_walk(walk)
