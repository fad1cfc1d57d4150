"""`quorum controls`: the limits in force, and how they change while trading goes on."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated

import typer

from adapters.limit_requests import FileLimitRequests
from domain.errors import InvalidValue, NotOnRecord, NotPermitted
from domain.limits import LimitChangeConfirmed, LimitChangeRequested
from domain.money import canonical
from domain.review import actor_name, statement
from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import myself
from orchestration.command_line.printing import console, print_json, print_table

controls = typer.Typer(no_args_is_help=True, help="The limits of the controls in the order path.")
app.add_typer(controls, name="controls", epilog="Example: quorum controls list")

_Limit = Annotated[str, typer.Argument(help="Name of the limit; `quorum controls list` has all.")]
_Value = Annotated[str, typer.Argument(help="Its new value, in the limit's own unit.")]
_Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]


@controls.command("list", epilog="Example: quorum controls list --json")
def list_limits(*, as_json: Json = False) -> None:
    """List the limits in force, what the settings say, and what waits for a second person."""
    from orchestration.limits import limits_on_record  # noqa: PLC0415 (a quick start)
    from trading.limits import LIMITS, value_of  # noqa: PLC0415

    settings = load_settings()
    limits, now = limits_on_record(settings), datetime.now(UTC)
    waiting = {
        limit: proposal
        for limit, proposal in limits.proposed.items()
        if proposal.expires_at is not None and proposal.expires_at > now
    }
    found = [
        {
            "limit": limit,
            "in_force": limits.value(limit),
            "settings": value_of(settings.trading, limit),
            "proposed": waiting.get(limit),
        }
        for limit in LIMITS
    ]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            row["limit"],
            row["in_force"],
            "" if row["settings"] == row["in_force"] else row["settings"],
            f"{p.value} by {p.actor}, until {p.expires_at:%H:%M} UTC: {p.reason}"
            if (p := waiting.get(str(row["limit"])))
            else "",
        )
        for row in found
    ]
    columns = ("limit", "in force", "settings, if other", "waits for a second person")
    print_table("Limits", columns, rows)


@controls.command(
    epilog="Example: quorum controls change maximum_order_value 100000 --reason 'a thin day'"
)
def change(limit: _Limit, value: _Value, *, reason: _Reason, as_json: Json = False) -> None:
    """Ask for another value of a limit; takes a person's token and a reason.

    A stricter value holds with the gateway's next message. A looser one waits until another person
    confirms it (`quorum controls confirm`).
    """
    from trading.limits import LIMITS, possible  # noqa: PLC0415 (a quick start)

    settings, asked = load_settings(), canonical(value)
    if limit not in LIMITS:
        near = get_close_matches(limit, LIMITS, n=1)
        raise InvalidValue(
            f"There is no limit {limit!r:.80} that can change while trading goes on.",
            next_step=f"Did you mean {near[0]}?" if near else "`quorum controls list` has all.",
        )
    if not possible(limit, asked):
        raise InvalidValue(
            f"{limit} can't be {asked}.", next_step="`quorum doctor --settings` says what it takes."
        )
    person = actor_name(myself(settings))
    request = FileLimitRequests(settings.home).ask(limit, asked, person, statement(reason))
    _told(request, f"{limit}: {asked} is asked for.", as_json=as_json)


@controls.command(
    epilog="Example: quorum controls confirm maximum_order_value 500000 --reason 'talked it over'"
)
def confirm(limit: _Limit, value: _Value, *, reason: _Reason, as_json: Json = False) -> None:
    """Confirm a raise that another person asked for, naming its value; takes your own token."""
    settings, meant = load_settings(), canonical(value)
    wishes = FileLimitRequests(settings.home)
    request = wishes.asked(limit)
    if request is None or request.value != meant:
        raise NotOnRecord(
            f"Nobody asked for {limit!r:.80} to be {meant}.",
            next_step="`quorum controls list` shows what waits.",
        )
    person = actor_name(myself(settings))
    if person == request.actor:
        raise NotPermitted(
            f"{person} asked for it and can't confirm it.", next_step="Ask another person."
        )
    confirmation = wishes.confirm(request, person, statement(reason))
    _told(confirmation, f"{limit}: {meant} is confirmed.", as_json=as_json)


def _told(
    wish: LimitChangeRequested | LimitChangeConfirmed, sentence: str, *, as_json: bool
) -> None:
    if as_json:
        print_json(wish)
    else:
        console.print(f"{sentence} `quorum controls list` tells what holds.", markup=False)
