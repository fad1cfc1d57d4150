"""`quorum paper` and `quorum gap`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from domain.market import MarketData
from domain.orders import ExecutionReport
from domain.settings import load_settings
from domain.voting import ConsensusResult
from orchestration.command_line.application import Json, app
from orchestration.command_line.backtest import day_of
from orchestration.command_line.printing import print_fields, print_json, print_table

_SHOWN = 20


class FeedKind(StrEnum):
    """Where a paper session's bars come from."""

    STORED = "stored"
    LIVE = "live"


@app.command(epilog="Example: quorum paper --start 2012-09-01 --name first")
def paper(
    *,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day.", show_default="the last year"),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day after the last.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the session is called.")] = "latest",
    feed: Annotated[
        FeedKind,
        typer.Option(help="stored: bars of the store; live: what QUORUM_FEED__SOURCE names."),
    ] = FeedKind.STORED,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="How long a live feed is traded.", show_default="until Ctrl-C"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Trade on paper: a feed through the live objects, bus and record in memory.

    Agents, engine, gateway and venue are the live ones, and every message takes the live way. The
    record is kept below the state folder; `quorum gap` holds it against the backtest.
    """
    settings = load_settings(clock="event")
    # What is heavy is imported here, so that the command line stays quick.
    from evaluation.trades import trade_hash  # noqa: PLC0415
    from orchestration.paper import keep, run_paper, stored_feed  # noqa: PLC0415

    if feed is FeedKind.LIVE:
        from orchestration.live_paper import run_live_paper  # noqa: PLC0415

        events = run_live_paper(settings, None if minutes is None else 60 * minutes)
    else:
        events = run_paper(settings, stored_feed(settings, day_of(start), day_of(end)))
    path = keep(settings, name, events)
    fills = [event for event in events if isinstance(event, ExecutionReport)]
    told = {
        "bars": sum(isinstance(event, MarketData) for event in events),
        "decisions": sum(isinstance(event, ConsensusResult) for event in events),
        "fills": len(fills),
        "trade_hash": trade_hash(fills),
        "record": str(path),
    }
    if as_json:
        print_json(told)
        return
    print_fields({key.replace("_", " "): value for key, value in told.items()})


@app.command(epilog="Example: quorum gap --session first")
def gap(
    *,
    session: Annotated[
        str,
        typer.Option(help="Which paper session.", show_default="the platform's own record"),
    ] = "",
    as_json: Json = False,
) -> None:
    """Hold what was traded on paper against the backtest of the same days, and say why they differ.

    Each difference is attributed by running the backtest again with one thing more as the session
    had it: its data, its votes, its decisions, its fills. The exit code is 1 where a difference
    remains that nothing explains. What was found is kept: `quorum live enable` asks for it.
    """
    settings = load_settings(clock="event")
    from adapters.live_switch import LiveSwitch  # noqa: PLC0415
    from orchestration.gap import measure_gap, recorded  # noqa: PLC0415
    from orchestration.paper import kept  # noqa: PLC0415

    found = measure_gap(settings, kept(settings, session) if session else recorded(settings))
    LiveSwitch(settings).keep(
        session or "platform",
        decisions=found.decisions,
        trades=found.trades,
        unexplained=found.unexplained,
    )
    if as_json:
        print_json(
            {
                **found._asdict(),
                "differences": [difference._asdict() for difference in found.differences],
                "counts": found.counts,
                "unexplained": found.unexplained,
            }
        )
    else:
        print_fields(
            {
                "decisions": found.decisions,
                "trades": found.trades,
                "trade hash, backtest": found.backtest_hash,
                "trade hash, paper": found.session_hash,
                "difference of equity": f"{found.equity_difference} USD",
                **{
                    f"due to {cause}": f"{count} trades, {found.money[cause]} USD"
                    for cause, count in found.counts.items()
                },
            }
        )
        if found.differences:
            print_table(
                f"The first {_SHOWN} differences",
                ("proposed", "symbol", "cause", "backtest", "paper"),
                [
                    (
                        f"{d.proposed_at:%Y-%m-%d %H:%M}",
                        d.symbol,
                        d.cause.value,
                        *("none" if t is None else f"{t.decided[-1][0]} {t.filled}" for t in d[4:]),
                    )
                    for d in found.differences[:_SHOWN]
                ],
            )
    if found.unexplained:
        raise typer.Exit(1)
