"""`quorum promote` and `quorum rollback`."""

from typing import TYPE_CHECKING, Annotated

import typer

from domain.settings import load_settings
from domain.voting import AgentId
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import Actor, acting, stated
from orchestration.command_line.printing import console, print_json

if TYPE_CHECKING:  # it imports numpy, which help does without
    from assets.records import Promotion

_Agent = Annotated[AgentId, typer.Argument(help="Whose model.")]
_Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]


@app.command(epilog='Example: quorum promote risk_manager 3 --reason "reviewed its card"')
def promote(
    agent: _Agent,
    version: Annotated[int, typer.Argument(help="Which version; `quorum models` lists them.")],
    *,
    reason: _Reason,
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Make a version that the gate accepted champion, and check that it is served.

    A person may skip the rungs of its trial, and gives the approval where policy asks for one.
    """
    who, why = acting(actor), stated(reason)
    from orchestration.succession import promote_by_person  # noqa: PLC0415 - keeps the start quick

    _tell(promote_by_person(load_settings(), agent, version, who, why), as_json=as_json)


@app.command(epilog='Example: quorum rollback risk_manager --reason "wrong on gaps"')
def rollback(agent: _Agent, *, reason: _Reason, actor: Actor = "", as_json: Json = False) -> None:
    """Take the champion back and serve the version before it; a second time quarantines it."""
    who, why = acting(actor), stated(reason)
    from orchestration.succession import roll_back_by_person  # noqa: PLC0415

    _tell(roll_back_by_person(load_settings(), agent, who, why), as_json=as_json)


def _tell(found: "Promotion", *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    before = found.previous or "none"
    console.print(f"{found.champion} is champion of {found.agent}; to fall back to: {before}.")
