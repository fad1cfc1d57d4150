"""Who gives an answer that goes on record, and why."""

import getpass
import sys
from typing import Annotated

import typer

from adapters.persons import Persons
from domain.errors import ConfigurationError, InvalidValue, NotAuthenticated
from domain.settings import Settings

#: The option of every command whose answer is recorded; `acting` fills it in.
Actor = Annotated[
    str, typer.Option(help="Who does this.", show_default="the user of this operating system")
]


def acting(actor: str) -> str:
    """Return the actor's name, by default the operating system's user."""
    if actor:
        return actor
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        raise ConfigurationError(
            "This account has no name to put on record.", next_step="Give one by --actor."
        ) from None


def stated(reason: str) -> str:
    """Return the reason, which must say something."""
    if reason.strip():
        return reason.strip()
    raise InvalidValue("The reason is empty.", next_step="Say why by --reason; it goes on record.")


def myself(settings: Settings) -> str:
    """Return the name of the person whose token this is."""
    token = settings.review_token.get_secret_value()
    if not token and sys.stdin.isatty():
        token = typer.prompt("Your token", hide_input=True, err=True)
    if not token:
        raise NotAuthenticated(
            "No token says who you are.",
            kept="Everything stays as it is.",
            next_step="Set QUORUM_REVIEW_TOKEN to what `quorum review add-person` printed.",
        )
    return Persons(settings.home).authenticate(token).name
