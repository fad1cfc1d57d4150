"""Backing the ledger up, and restoring it: either all of it, proven, or nothing."""

import shutil
import tempfile
from pathlib import Path

import msgspec
import psycopg

from adapters.files import sync, write_atomically
from adapters.ledger import migrate
from adapters.ledger.copying import (
    TableFile,
    digest,
    filled_tables,
    make_months,
    months,
    path_of,
    read_tables,
    write_tables,
)
from adapters.ledger.migration import HEAD
from adapters.ledger.reading import Record, snapshot
from adapters.profile import connected
from adapters.record_key import private_key
from consensus.audit import verify
from consensus.signatures import is_signature, signature
from consensus.tree_heads import SignedHead, heads_problems
from domain.errors import ConfigurationError, InvalidValue, RecordDamaged
from domain.messages import Value
from domain.settings import Settings
from orchestration.tree_heads import (
    checked_heads,
    head_file,
    heads_folder,
    record_snapshot,
    signed_head,
)

_PURPOSE = "quorum backup 1"
_MANIFEST, _SIGNATURE = "manifest.json", "manifest.sig"


class Manifest(Value, frozen=True, kw_only=True):
    """What a backup holds.

    Parameters
    ----------
    schema_head
        The version of the ledger's schema.
    months
        In which something was recorded.
    tables
        One file each.
    heads
        All signed heads; the last one is of the very snapshot that the tables are.
    """

    schema_head: str
    months: tuple[str, ...]
    tables: tuple[TableFile, ...]
    heads: tuple[SignedHead, ...]

    @property
    def events(self) -> int:
        """How many events the backup holds, archived ones not counted."""
        return sum(file.rows for file in self.tables if file.table == "events")

    @property
    def newest(self) -> int:
        """The number of the newest signed head."""
        return self.heads[-1].statement.number


def back_up(settings: Settings, folder: Path) -> Manifest:
    """Write the ledger, as it stands in one moment, to a folder that appears whole or not at all.

    Raises
    ------
    InvalidValue
        If the folder exists already.
    """
    if folder.exists():
        raise InvalidValue(
            f"{folder} exists already.", next_step="Name a folder that does not; it is made."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with record_snapshot(settings) as connection:
            signed_head(settings, connection)
            manifest = Manifest(
                schema_head=HEAD,
                months=tuple(months(connection)),
                tables=tuple(write_tables(connection, draft)),
                heads=tuple(checked_heads(settings)),
            )
        data = msgspec.json.encode(manifest)
        write_atomically(draft / _MANIFEST, data)
        write_atomically(draft / _SIGNATURE, signature(_PURPOSE, data, private_key(settings.home)))
        sync(draft)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft)
        raise
    sync(folder.parent)
    return manifest


def restore(settings: Settings, folder: Path, key: bytes) -> Manifest:
    """Fill an empty ledger from a backup, once everything in it proved to be as it was written.

    Parameters
    ----------
    key
        The public key of the record that was backed up.

    Raises
    ------
    RecordDamaged
        If a file, or the record in them, is not what was backed up; nothing is restored then.
    InvalidValue
        If the ledger is not empty, or newer heads than the backup's are kept.
    ConfigurationError
        If the backup is of another release's schema.
    """
    manifest = _checked_manifest(folder, key)
    _demand_no_newer_heads(settings, manifest, key)
    with connected(settings, servers=("postgres",)) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        with snapshot(url, as_owner=True) as connection:
            connection.execute("LOCK TABLE ledger.heads IN ACCESS EXCLUSIVE MODE")
            if filled := filled_tables(connection):
                raise InvalidValue(
                    f"The ledger is not empty: {', '.join(filled)} hold rows.",
                    next_step="Restore into a new database or state folder.",
                )
            make_months(connection, list(manifest.months))
            read_tables(connection, folder, list(manifest.tables))
            _demand_record(connection, manifest)
    for head in manifest.heads:
        write_atomically(head_file(settings, head), msgspec.json.encode(head))
    return manifest


def _checked_manifest(folder: Path, key: bytes) -> Manifest:
    try:
        data = (folder / _MANIFEST).read_bytes()
        signed = (folder / _SIGNATURE).read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError) as problem:
        raise RecordDamaged(
            f"{folder} is no whole backup: {problem}.", next_step="Name another backup."
        ) from None
    if not is_signature(_PURPOSE, data, signed, key):
        raise RecordDamaged(
            f"{folder / _MANIFEST} is not signed by that key.",
            next_step="Ask for the right public key (`--key`), or take another backup.",
        )
    if manifest.schema_head != HEAD:
        raise ConfigurationError(
            f"The backup is of schema {manifest.schema_head}; this release writes {HEAD}.",
            next_step="Restore it by the release that wrote it, then start this one.",
        )
    for file in manifest.tables:
        path = path_of(folder, file.table)
        if not path.exists() or digest(path) != file.sha256:
            raise RecordDamaged(
                f"{path} is missing, or not as it was written.",
                next_step="Restore the file from a copy, or take another backup.",
            )
    if problems := heads_problems(manifest.heads, key):
        raise RecordDamaged(
            f"The backup's signed heads do not hold: {'; '.join(problems)}.",
            next_step="Take another backup.",
        )
    return manifest


def _demand_no_newer_heads(settings: Settings, manifest: Manifest, key: bytes) -> None:
    newest = manifest.newest
    lost = [h for h in checked_heads(settings, key) if h.statement.number > newest]
    if lost:
        events = sum(tree.sequence for tree in lost[-1].statement.trees) - sum(
            tree.sequence for tree in manifest.heads[-1].statement.trees
        )
        raise InvalidValue(
            f"The backup ends at signed head {newest}, but head {lost[-1].statement.number} is "
            f"kept: {events} events would be lost.",
            next_step="Restore a newer backup; or accept the loss, and keep its evidence, by "
            f"moving the heads above {newest} out of {heads_folder(settings)}.",
        )


def _demand_record(connection: psycopg.Connection, manifest: Manifest) -> None:
    record = Record(connection)
    audit = verify(
        record.entries(),
        [tree for head in manifest.heads for tree in head.statement.trees],
        ends=record.heads(),
        anchors=record.anchors(),
    )
    is_whole = audit.heads == manifest.heads[-1].statement.trees
    if not audit.sound or not is_whole or audit.events > manifest.events:
        found = [f"{f.log}/{f.partition} event {f.sequence}: {f.fault}" for f in audit.findings]
        raise RecordDamaged(
            f"The backup's record is not what was signed ({'; '.join(found) or 'other ends'}).",
            kept="Nothing was restored.",
            next_step="Take another backup.",
        )
