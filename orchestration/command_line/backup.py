"""Keeping the record elsewhere: backups, and archives of old months."""

from pathlib import Path
from typing import Annotated

import typer

from domain.ports.ledger import Log
from domain.settings import load_settings
from orchestration.command_line.application import Json, app, audit
from orchestration.command_line.audit import PublicKey, public_key
from orchestration.command_line.printing import print_fields, print_json


@app.command(epilog="Example: quorum backup /mnt/backups/2026-11-23")
def backup(
    folder: Annotated[Path, typer.Argument(help="Where; it must not exist yet.")],
    *,
    as_json: Json = False,
) -> None:
    """Write the ledger, as it stands in one moment, to a folder; trading goes on meanwhile."""
    from orchestration.backup import back_up  # noqa: PLC0415 (keeps the command line quick)

    manifest = back_up(load_settings(), folder.absolute())
    _tell({"folder": folder, "events": manifest.events, "head": manifest.newest}, as_json=as_json)


@app.command(epilog="Example: quorum restore /mnt/backups/2026-11-23")
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A backup.")],
    *,
    key: PublicKey = None,
    as_json: Json = False,
) -> None:
    """Fill an empty ledger from a backup, once all of it proved to be as it was written."""
    from orchestration.backup import restore as fill  # noqa: PLC0415

    manifest = fill(load_settings(), folder.absolute(), public_key(key))
    _tell({"folder": folder, "events": manifest.events, "head": manifest.newest}, as_json=as_json)


@audit.command("archive", epilog="Example: quorum audit archive 2026-10 /mnt/archive")
def archive(
    month: Annotated[str, typer.Argument(help="The last month to archive, as 2026-10.")],
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where to write it.")],
    *,
    log: Annotated[Log, typer.Option(help="Which log.")] = Log.DECISIONS,
    as_json: Json = False,
) -> None:
    """Move old months of a log to a checked export, and out of the database."""
    from orchestration.archive import archive as move  # noqa: PLC0415

    moved = move(load_settings(), month, folder.absolute(), log)
    dropped = ", ".join(moved.dropped)
    _tell({"file": moved.file, "events": moved.events, "dropped": dropped}, as_json=as_json)


def _tell(fields: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)
