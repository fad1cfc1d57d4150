"""`quorum lineage`: from a decision to the training rows, from a data version to its decisions."""

from typing import Annotated

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import print_json, print_table

lineage = typer.Typer(no_args_is_help=True, help="What decided on what, and learned from what.")
app.add_typer(lineage, name="lineage", epilog="Example: quorum lineage decision 3f2a")


@lineage.command("decision", epilog="Example: quorum lineage decision 3f2a --json")
def of_decision(
    decision: Annotated[str, typer.Argument(help="Id of a decision, or its beginning.")],
    *,
    as_json: Json = False,
) -> None:
    """Show what each model that voted on a decision learned from, training rows included."""
    from orchestration.lineage import learned_from  # noqa: PLC0415 - keeps the start quick

    found = learned_from(load_settings(), decision)
    if as_json:
        print_json([{**m._asdict(), "rows": [rows._asdict() for rows in m.rows]} for m in found])
        return
    rows = [
        (
            model.label,
            model.data_version[:8],
            f"{model.trained_until:%F}",
            sum(each.rows for each in model.rows),
            len(model.rows),
            model.run_id[:8],
        )
        for model in found
    ]
    columns = ("version", "data", "before", "rows", "symbols", "MLflow run")
    print_table("Models that voted", columns, rows)


@lineage.command("data", epilog="Example: quorum lineage data 1f0c9d2e --json")
def of_data(
    version: Annotated[str, typer.Argument(help="A data version, whole.")],
    *,
    as_json: Json = False,
) -> None:
    """List every decision that a model voted on which learned from a data version."""
    from orchestration.lineage import decided_by  # noqa: PLC0415 - keeps the start quick

    found = decided_by(load_settings(), version)
    if as_json:
        print_json([touched._asdict() for touched in found])
        return
    rows = [
        (t.decision_id[:8], f"{t.occurred_at:%F}", t.symbol, t.outcome, ", ".join(t.versions))
        for t in found
    ]
    columns = ("decision", "day", "symbol", "outcome", "by")
    print_table(f"Decisions: {len(found)}", columns, rows, empty="None was decided yet.")
