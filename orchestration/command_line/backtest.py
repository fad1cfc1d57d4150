"""`quorum backtest`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from domain.settings import load_settings
from domain.voting import Outcome
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_fields, print_json

_FIRST_UNSEEN_DAY = datetime(2012, 9, 1, tzinfo=UTC)


@app.command(epilog="Example: quorum backtest --start 2012-09-01 --end 2013-01-01")
def backtest(
    *,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.", show_default="2012-09-01")
    ] = _FIRST_UNSEEN_DAY,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day after the last.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Trade stored bars with the deployed champions, through the live engine and order path.

    It takes the same decisions as a live replay of the same bars. Fills come from bars, so it
    does not claim more than bars show.
    """
    settings = load_settings(clock="event")
    from orchestration.backtest import run_backtest  # noqa: PLC0415 (keeps the command line quick)

    found = run_backtest(
        settings, start.replace(tzinfo=UTC), None if end is None else end.replace(tzinfo=UTC)
    )
    outcomes = [decision.outcome for decision in found.result.decisions]
    counts = {outcome.value: outcomes.count(outcome) for outcome in Outcome}
    if as_json:
        print_json(
            {
                "start": found.start,
                "end": found.end,
                "bars": found.bars,
                "models": found.models,
                "decisions": counts,
                "decision_log_hash": found.decision_log_hash,
                "fills": len(found.result.fills),
                **found.figures,
            }
        )
        return
    console.print(f"[bold]{found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}[/bold], {found.bars} bars")
    print_fields(
        {
            "models": ", ".join(found.models.values()),
            "decisions": ", ".join(f"{number} {name}" for name, number in counts.items()),
            "decision-log hash": found.decision_log_hash,
            "fills": len(found.result.fills),
            **{name.replace("_", " "): f"{value:.4f}" for name, value in found.figures.items()},
        }
    )
