"""`quorum demo`."""

from typing import Annotated

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json


@app.command(epilog="Example: quorum demo --seed 7 --days 20")
def demo(
    *,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.", min=0)] = 7,
    days: Annotated[
        int | None, typer.Option(help="Replay only so many unseen trading days.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the whole loop on the packaged sample of real bars, and write a report.

    Learns four models, serves them, trades the months that no model has seen over the live
    plane, retrains one agent on what it experienced, and promotes or refuses it.
    """
    settings = load_settings(seed=seed, clock="event")
    from rich.console import Console  # noqa: PLC0415

    from orchestration.command_line.stages import Stages  # noqa: PLC0415
    from orchestration.demo import run_demo  # noqa: PLC0415 (keeps the command line quick)

    progress = Console(stderr=True) if as_json else console
    result = run_demo(settings, Stages(progress), days=days)
    if as_json:
        print_json(
            {
                "report": result.report,
                "decision_log_hash": result.decision_log_hash,
                "decisions": result.outcomes,
                "seconds": result.seconds,
            }
        )
        return
    counts = ", ".join(f"{number} {name}" for name, number in result.outcomes.items())
    console.print(f"\nDecisions          {counts}")
    console.print(f"Decision-log hash  [bold]{result.decision_log_hash}[/bold]", soft_wrap=True)
    console.print(f"Report             [bold]{result.report}[/bold]", soft_wrap=True)
    console.print("\nTry next:")
    for command in result.next_commands:
        console.print(f"  {command}", soft_wrap=True)
