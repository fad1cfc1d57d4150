"""`quorum backtest`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from domain.settings import load_settings
from domain.voting import Outcome
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_fields, print_json

if TYPE_CHECKING:
    from evaluation.monte_carlo import Spread


@app.command(epilog="Example: quorum backtest --start 2012-09-01 --end 2013-01-01")
def backtest(
    *,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="First day.",
            show_default="the first that no model has learned from, else the last year",
        ),
    ] = None,
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

    found = run_backtest(settings, day_of(start), day_of(end))
    outcomes = [decision.outcome for decision in found.result.decisions]
    counts = {outcome.value: outcomes.count(outcome) for outcome in Outcome}
    if as_json:
        print_json(
            {
                "start": found.start,
                "end": found.end,
                "bars": found.bars,
                "unseen": found.unseen,
                "models": found.models,
                "decisions": counts,
                "decision_log_hash": found.decision_log_hash,
                "trade_hash": found.trade_hash,
                "fills": len(found.result.fills),
                **found.figures,
                "other_paths": None if found.other_paths is None else found.other_paths._asdict(),
            }
        )
        return
    console.print(f"[bold]{found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}[/bold], {found.bars} bars")
    if not found.unseen:
        console.print(
            "[yellow]![/yellow] The models have learned from these bars, so the result flatters: "
            "set QUORUM_TRAINING__UNTIL to an earlier day and train again for a fair one."
        )
    print_fields(
        {
            "models": ", ".join(found.models.values()),
            "decisions": ", ".join(f"{number} {name}" for name, number in counts.items()),
            "decision-log hash": found.decision_log_hash,
            "trade hash": found.trade_hash,
            "fills": len(found.result.fills),
            **{name.replace("_", " "): f"{value:.4f}" for name, value in found.figures.items()},
            **_other_paths(found.other_paths),
        }
    )


def _other_paths(spread: "Spread | None") -> dict[str, str]:
    if spread is None:
        return {}
    return {
        "the same days otherwise": (
            f"return {spread.wealth[0] - 1:+.4f} to {spread.wealth[-1] - 1:+.4f}, maximum "
            f"drawdown {spread.drawdown[-1]:.4f} to {spread.drawdown[0]:.4f} on nine of ten "
            "bootstrapped paths"
        )
    }


def day_of(day: datetime | None) -> datetime | None:
    """Return a day that was typed as its first instant (UTC)."""
    return None if day is None else day.replace(tzinfo=UTC)
