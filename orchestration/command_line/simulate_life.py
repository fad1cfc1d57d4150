"""`quorum simulate-life`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from domain.settings import load_settings
from domain.worlds import SimulatedWorld
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_fields, print_json, print_table


@app.command("simulate-life", epilog="Example: quorum simulate-life --world break --report life.md")
def simulate_life(
    *,
    world: Annotated[
        SimulatedWorld,
        typer.Option(help="A market with a planted edge that lasts, or breaks; or without one."),
    ] = SimulatedWorld.BREAK,
    months: Annotated[int, typer.Option(help="Months of 21 trading days.", min=1, max=120)] = 12,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.", min=0)] = 7,
    report: Annotated[
        Path | None, typer.Option(help="Write a report (Markdown) here, too.", dir_okay=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Live through months of the Market Analyst's life, day by day, in minutes.

    On a market of known truth the platform trades, trains, gates, tries, promotes and rolls back by
    the functions that do it live; only market and clock are simulated. Told is every event with its
    reason, and what it came to: false promotions, days from the break to the rollback, what was
    earned with the routine and by version 1 alone. Nothing of it is kept in the state folder.
    """
    settings = load_settings(seed=seed, clock="event")
    from rich.console import Console  # noqa: PLC0415

    from adapters.files import write_atomically  # noqa: PLC0415 (keeps the command line quick)
    from orchestration.command_line.stages import Stages  # noqa: PLC0415
    from orchestration.simulate_life import simulate_life as simulate  # noqa: PLC0415
    from orchestration.simulated_figures import in_markdown, life_figures  # noqa: PLC0415
    from orchestration.simulated_market import simulated_market  # noqa: PLC0415

    market = simulated_market(world, months=months, seed=seed)
    with TemporaryDirectory(prefix="quorum-life-") as home:
        alone = settings.model_copy(update={"home": Path(home)})
        with Stages(Console(stderr=True) if as_json else console).stage("Live through it") as stage:
            life = simulate(market, alone, lambda day, days: stage.advance(day, days, f"day {day}"))
    figures = life_figures(market, life)
    if report is not None:
        write_atomically(report, in_markdown(market, figures, life.events).encode())
    if as_json:
        events = [event._asdict() for event in life.events]
        print_json({"world": world, "seed": seed, "figures": figures, "events": events})
        return
    rows = [(e.day, e.date, e.version, e.what, e.by, e.reason) for e in life.events]
    print_table("Events", ("day", "date", "version", "what", "by", "reason"), rows)
    earned = {
        name: f"{e.total_return:+.2%}, Sharpe ratio {e.sharpe_ratio:+.2f} a year, "
        f"largest drawdown {e.maximum_drawdown:.2%}"
        for name, e in (
            ("with the routine", figures.with_routine),
            ("version 1 throughout", figures.without),
        )
    }
    days = figures.days_to_rollback
    print_fields(
        {
            "trained": figures.trainings,
            "refused": figures.refused,
            "promoted": f"{figures.promotions}, {figures.false_promotions} of them falsely",
            "rolled back": figures.rollbacks,
            "edge breaks on day": figures.breaks_on_day or "never",
            "days to rollback": "none" if days is None else days,
            **earned,
        }
    )
