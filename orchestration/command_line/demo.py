"""`quorum demo`."""

from typing import Annotated

import typer

from domain.settings import load_settings
from domain.worlds import World
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json


@app.command(epilog="Example: quorum demo --world break")
def demo(
    *,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.", min=0)] = 7,
    days: Annotated[
        int | None, typer.Option(help="Replay only so many unseen trading days.", min=1)
    ] = None,
    world: Annotated[
        World | None,
        typer.Option(help="A market with a planted edge: it lasts, or it breaks."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the whole loop on the packaged sample of real bars, and write a report.

    Learns four models, serves them, trades the months that no model has seen over the live
    plane, retrains one agent on what it experienced, and promotes or refuses it.

    With --world the bars are planted, so that it is known when an edge is there (edge) and when it
    turns into its opposite (break). Learned models that pass the gate climb from shadow over canary
    by their record; who is shown to be better goes live, and who votes when its edge ends is rolled
    back. The report tells every move, and why.
    """
    settings = load_settings(seed=seed, clock="event")
    from rich.console import Console  # noqa: PLC0415

    from orchestration.command_line.stages import Stages  # noqa: PLC0415
    from orchestration.demo import run_demo  # noqa: PLC0415 (keeps the command line quick)
    from orchestration.demo_world import run_world  # noqa: PLC0415

    stages = Stages(Console(stderr=True) if as_json else console)
    if world is None:
        result, life = run_demo(settings, stages, days=days), {}
    else:
        result = run_world(settings, stages, world, days=days)
        life = {
            "breaks_on": result.breaks_on,
            "promoted": result.promoted,
            "rolled_back": result.rolled_back,
            "moves": result.moves,
        }
    if as_json:
        print_json(
            {
                "report": result.report,
                "decision_log_hash": result.decision_log_hash,
                "decisions": result.outcomes,
                "seconds": result.seconds,
                **life,
            }
        )
        return
    if life:
        console.print(f"\nPromoted           {', '.join(life['promoted']) or 'none'}")
        console.print(f"Rolled back        {', '.join(life['rolled_back']) or 'none'}", end="")
    counts = ", ".join(f"{number} {name}" for name, number in result.outcomes.items())
    console.print(f"\nDecisions          {counts}")
    console.print(f"Decision-log hash  [bold]{result.decision_log_hash}[/bold]", soft_wrap=True)
    console.print(f"Report             [bold]{result.report}[/bold]", soft_wrap=True)
    console.print("\nTry next:")
    for command in result.next_commands:
        console.print(f"  {command}", soft_wrap=True)
