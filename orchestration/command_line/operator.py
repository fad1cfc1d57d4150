"""Who gives an answer that goes on record."""

import getpass
from typing import Annotated

import typer

from domain.errors import ConfigurationError

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
