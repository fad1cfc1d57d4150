"""`quorum halt`, `quorum resume`, `quorum trading`, `quorum reconcile`."""

from typing import Annotated

import typer

from adapters.kill_switch import FileKillSwitch
from domain.errors import InvalidValue
from domain.orders import EVERYTHING, Scope, ScopeKind, TradingState, TradingStateRequested
from domain.reconciliation import DiscrepancyKind
from domain.review import actor_name, statement
from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import Actor, acting, myself
from orchestration.command_line.printing import (
    console,
    print_fields,
    print_json,
    print_table,
    visible,
)

_Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]
_Strategy = Annotated[str, typer.Option(help="Only this strategy.", show_default="all trading")]
_Symbol = Annotated[str, typer.Option(help="Only this symbol.", show_default="all trading")]
_Venue = Annotated[str, typer.Option(help="Only this venue.", show_default="all trading")]

#: What a person does about each kind of difference.
_REMEDIES = {
    DiscrepancyKind.UNKNOWN_ORDER: "Find out who sent it; cancel it at the venue if nobody did.",
    DiscrepancyKind.MISSING_ORDER: "Ask the venue for its record of this order; book or end it.",
    DiscrepancyKind.TERMS: "Somebody changed it at the venue: cancel it there.",
    DiscrepancyKind.FILL: "Compare the venue's fills with `quorum explain`; dispute what is wrong.",
    DiscrepancyKind.STATUS: "Ask the venue which is right; cancel what should be over.",
    DiscrepancyKind.CHILDREN: "Too much was sent: cancel the children at the venue.",
    DiscrepancyKind.POSITION: "Trade the difference at the venue, or move it to another account.",
}


@app.command(epilog="Example: quorum halt --symbol IBM --reason 'news we do not understand'")
def halt(
    *,
    reason: _Reason,
    strategy: _Strategy = "",
    symbol: _Symbol = "",
    venue: _Venue = "",
    reducing: Annotated[
        bool, typer.Option("--reducing", help="Let out what shrinks a position.", metavar="")
    ] = False,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Stop trading at once: no new order leaves, open ones are cancelled.

    It needs neither the bus nor the database, and holds until a person resumes.
    """
    state = TradingState.REDUCING if reducing else TradingState.HALTED
    scope = _scope(strategy, symbol, venue)
    switch = FileKillSwitch(load_settings().home)
    request = switch.press(state, acting(actor), statement(reason), scope)
    _told(request, as_json=as_json)


@app.command(epilog="Example: quorum resume --reason 'the feed is right again'")
def resume(
    *,
    reason: _Reason,
    strategy: _Strategy = "",
    symbol: _Symbol = "",
    venue: _Venue = "",
    as_json: Json = False,
) -> None:
    """Let trading go on; takes a person's token and a reason.

    The token is the one that `quorum review add-person` printed, in QUORUM_REVIEW_TOKEN.
    """
    settings = load_settings()
    person = myself(settings)
    switch, scope = FileKillSwitch(settings.home), _scope(strategy, symbol, venue)
    request = switch.press(TradingState.ACTIVE, actor_name(person), statement(reason), scope)
    _told(request, as_json=as_json)


@app.command(epilog="Example: quorum trading --json")
def trading(*, as_json: Json = False) -> None:
    """Tell what persons last asked of the kill switch; ends with 1 where anything is stopped."""
    found = FileKillSwitch(load_settings().home).requests()
    if as_json:
        print_json(list(found))
    else:
        columns = ("what", "state", "since", "who", "why")
        rows = [
            (str(r.scope), r.state, f"{r.occurred_at:%Y-%m-%d %H:%M:%S} UTC", r.actor, r.reason)
            for r in found
        ]
        print_table("Kill switch", columns, rows, empty="Nobody has touched the kill switch.")
    if any(request.state is not TradingState.ACTIVE for request in found):
        raise typer.Exit(1)


@app.command(epilog="Example: quorum reconcile")
def reconcile(*, as_json: Json = False) -> None:
    """Walk through what the record and the venue last disagreed on, and what to do about each.

    Ends with 1 where something is unexplained. `quorum resume` lets trading go on afterwards.
    """
    from orchestration.reconciliation import last_reconciliation  # noqa: PLC0415 (a quick start)

    found = last_reconciliation(load_settings())
    if as_json:
        print_json(found)
    elif found is None:
        console.print("Record and venue have never disagreed.")
    else:
        console.print(f"Compared with {found.venue}, {found.occurred_at:%Y-%m-%d %H:%M:%S} UTC.")
        for number, each in enumerate(found.discrepancies, 1):
            print_fields(
                {
                    f"{number} of {len(found.discrepancies)}": each.kind,
                    "about": visible(each.subject),
                    "on record": visible(each.recorded),
                    "at the venue": visible(each.venue),
                    "what to do": _REMEDIES[each.kind],
                }
            )
        console.print("Then: quorum resume --reason …; the gateway compares again when it starts.")
    if found is not None:
        raise typer.Exit(1)


def _scope(strategy: str, symbol: str, venue: str) -> Scope:
    named = {
        ScopeKind.STRATEGY: strategy,
        ScopeKind.SYMBOL: symbol,
        ScopeKind.VENUE: venue,
    }
    given = [Scope(kind=kind, name=name) for kind, name in named.items() if name]
    if len(given) > 1:
        raise InvalidValue(
            "Several scopes are named.", next_step="Name a strategy, a symbol or a venue."
        )
    return given[0] if given else EVERYTHING


def _told(request: TradingStateRequested, *, as_json: bool) -> None:
    if as_json:
        print_json(request)
    else:
        console.print(f"{request.scope}: {request.state} from now on.", markup=False)
