"""`quorum live`: the one switch to trading with real money."""

import asyncio
import sys
from typing import Annotated

import typer

from domain.errors import ConfigurationError, InvalidValue, NotPermitted
from domain.orders import Scope, ScopeKind, TradingState
from domain.review import actor_name, statement
from domain.settings import Settings, load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import Actor, acting, myself
from orchestration.command_line.printing import console, print_fields, print_json

live = typer.Typer(no_args_is_help=True, help="The one switch to trading with real money.")
app.add_typer(live, name="live", epilog="Example: quorum live status")

_Reason = Annotated[str, typer.Option(help="Why; it is kept.")]


@live.command(epilog="Example: quorum live status --json")
def status(*, as_json: Json = False) -> None:
    """Tell whether real money may be traded, by whose word, and what is missing.

    Ends with 1 while the switch is off.
    """
    from adapters.live_switch import LiveSwitch  # noqa: PLC0415 (a quick start)

    settings = load_settings()
    switch = LiveSwitch(settings)
    enabled = switch.enabled()
    missing = ""
    try:
        switch.passed_run() if enabled is None else switch.demand(enabled.account)
    except ConfigurationError as problem:
        missing = str(problem)
    told = {
        "switch": "off" if enabled is None else "on",
        "wanted_by_settings": settings.venue.live,
        "enabled": enabled,
        "missing": missing,
    }
    if as_json:
        print_json(told)
    else:
        word = f"{enabled.account} at {enabled.venue}, by {enabled.actor}" if enabled else ""
        print_fields(
            {
                "switch": f"on for {word}: {enabled.reason}" if enabled else "off",
                "QUORUM_VENUE__LIVE": settings.venue.live,
                "missing": missing or "nothing",
            }
        )
    if enabled is None or missing:
        raise typer.Exit(1)


@live.command(epilog="Example: quorum live enable --reason 'a week on paper without a gap'")
def enable(
    *,
    reason: _Reason,
    account: Annotated[
        str, typer.Option(help="The account's number, typed by you.", show_default="asked for")
    ] = "",
    as_json: Json = False,
) -> None:
    """Let the account with real money be traded that the settings name.

    It takes a person's token, a paper run that `quorum gap` found without an unexplained
    difference within QUORUM_VENUE__PAPER_RUN_DAYS, by this very software and these settings, and
    the account's number, typed.
    """
    from adapters.live_switch import LiveSwitch  # noqa: PLC0415 (a quick start)

    settings = load_settings()
    person, why = actor_name(myself(settings)), statement(reason)
    switch = LiveSwitch(settings)
    switch.passed_run()
    number = asyncio.run(_account(settings))
    if not account and sys.stdin.isatty():
        account = typer.prompt("This is real money. Type the account's number", err=True)
    if not account:
        raise InvalidValue("No account's number was typed.", next_step="Give it by --account.")
    if account.strip() != number:
        raise NotPermitted(
            "What was typed is not the number of the account that the keys open.",
            next_step="Look it up at the venue, and see that the keys are the right ones.",
        )
    enabled = switch.enable(number, person, why)
    if as_json:
        print_json(enabled)
    else:
        console.print(f"{number} trades real money from the gateway's next start on.", markup=False)


@live.command(epilog="Example: quorum live disable --reason 'back to paper'")
def disable(*, reason: _Reason, actor: Actor = "", as_json: Json = False) -> None:
    """Turn the switch off, and halt the venue at once: open orders are cancelled.

    The gateway's next start refuses; `quorum resume --venue` ends the halt.
    """
    from adapters.kill_switch import FileKillSwitch  # noqa: PLC0415 (a quick start)
    from adapters.live_switch import LiveSwitch  # noqa: PLC0415

    settings = load_settings()
    scope = Scope(kind=ScopeKind.VENUE, name=settings.trading.venue)
    kill_switch = FileKillSwitch(settings.home)
    halted = kill_switch.press(TradingState.HALTED, acting(actor), statement(reason), scope)
    LiveSwitch(settings).disable()
    if as_json:
        print_json(halted)
    else:
        console.print(f"{scope}: HALTED from now on; no start trades real money.", markup=False)


async def _account(settings: Settings) -> str:
    """Return the number of the account that the settings' keys open."""
    from adapters.brokers.accounts import outside_broker  # noqa: PLC0415 (a quick start)

    broker = outside_broker(settings) if settings.venue.live else None
    if broker is None:
        raise ConfigurationError(
            "The settings name no account with real money.",
            next_step="Set QUORUM_VENUE__NAME=alpaca, QUORUM_VENUE__LIVE=true, its URL and keys.",
        )
    try:
        return await broker.account()
    finally:
        await broker.close()
