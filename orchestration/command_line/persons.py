"""`quorum review persons|add-person|remove-person`: who may answer reviews."""

from typing import Annotated

import typer

from adapters.persons import Persons
from domain.money import not_negative
from domain.settings import load_settings
from orchestration.command_line.application import Json
from orchestration.command_line.printing import console, print_json, print_table
from orchestration.command_line.review import review

_Name = Annotated[str, typer.Argument(help="Name on record: lower-case letters, digits, . _ @ -")]


@review.command("persons", epilog="Example: quorum review persons")
def persons(*, as_json: Json = False) -> None:
    """List who may answer reviews, and up to which value each may approve."""
    found = Persons(load_settings().home).all()
    rows = [
        (p.name, "none" if p.approval_limit is None else p.approval_limit, f"{p.added_at:%Y-%m-%d}")
        for p in found
    ]
    if as_json:
        print_json([{"name": p.name, "approval_limit": p.approval_limit} for p in found])
    else:
        print_table("Persons", ("name", "approval limit", "since"), rows, empty="Nobody yet.")


@review.command("add-person", epilog="Example: quorum review add-person ada --limit 50000")
def add_person(
    name: _Name,
    *,
    limit: Annotated[
        str,
        typer.Option(help="Value up to which this person may approve.", show_default="no limit"),
    ] = "",
    as_json: Json = False,
) -> None:
    """Let a person answer reviews; prints the token, once."""
    value = not_negative(limit, "--limit") if limit else None
    token = Persons(load_settings().home).add(name, value)
    if as_json:
        print_json({"name": name, "token": token})
        return
    console.print(f"{name}'s token, shown once and kept nowhere:\n{token}", markup=False)
    console.print(
        "Hand it over safely. At the command line: QUORUM_REVIEW_TOKEN; over HTTP: "
        "Authorization: Bearer …",
        soft_wrap=True,
    )


@review.command("remove-person", epilog="Example: quorum review remove-person ada")
def remove_person(name: _Name, *, as_json: Json = False) -> None:
    """Let a person answer no more; past answers stay on record."""
    Persons(load_settings().home).remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        console.print(f"{name}'s token is worth nothing from now on.", markup=False)
