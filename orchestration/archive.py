"""Moving old months of a log out of the database, where they can still be checked."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from adapters.files import sync
from adapters.ledger import migrate
from adapters.ledger.months import Months
from adapters.ledger.reading import Record, Trees, snapshot
from adapters.profile import connected
from adapters.record_key import private_key
from consensus.audit import Audit, verify
from consensus.signatures import public_key_of
from consensus.tree_heads import SignedHead
from domain.errors import EnvironmentProblem, InvalidValue, RecordDamaged
from domain.merkle import Range
from domain.messages import Value
from domain.ports.ledger import Head, Log
from domain.settings import Settings
from orchestration.audit import audit_export, head_beside, write_export
from orchestration.projections import bring_up_to_date
from orchestration.tree_heads import checked_heads, signed_head
from trading.book import OrderBook
from trading.handler import LOG_PARTITION

_DECEMBER = 12


class Archived(Value, frozen=True, kw_only=True):
    """What left the database: an export of so many events, and the dropped tables."""

    file: str
    events: int
    dropped: tuple[str, ...]


def archive(settings: Settings, month: str, folder: Path, log: Log = Log.DECISIONS) -> Archived:
    """Write a log up to and including a month to an export, check it, and drop it.

    What is left goes on from an anchor: the hash of the last archived event, the subtrees of the
    archived ones, and of the orders log what its events have come to: portfolio, orders, market.
    The ids of archived events stay, so each is still recorded once.

    Parameters
    ----------
    month
        As ``YYYY-MM``, in the past.
    folder
        Where the export and its signed head go.

    Raises
    ------
    EnvironmentProblem
        If the read side has not taken in everything.
    InvalidValue
        If the month is not over, or nothing of it is there to archive.
    RecordDamaged
        If the record, or the written file, does not pass its check; nothing is dropped then.
    """
    until = _end_of(month)
    file = folder / f"{log}-until-{month}.jsonl.gz"
    if file.exists():
        raise InvalidValue(f"{file} exists already.", next_step="Name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    kept = checked_heads(settings)
    with connected(settings, servers=("postgres",)) as ready:
        url = ready.ledger_url.get_secret_value()
        migrate(url)
        if missing := bring_up_to_date(url):  # what leaves would be missing there for ever
            raise EnvironmentProblem(
                f"The read side is {missing} events behind the logs.",
                kept="Nothing was archived.",
                next_step="Wait until `quorum projections status` says that it is up to date.",
            )
        with snapshot(url, as_owner=True) as connection:
            head = signed_head(settings, connection)
            months = Months(connection, log, until)
            months.detach_outbox()
            heads = _heads(connection, log, _ends(months, log, month))
            sound = _sound(connection, log, until, heads, [*kept, head])
            entries = Record(connection).entries(log, before=until)
            written = write_export(connection, head, file, entries, sound.heads)
            for path in (file, head_beside(file), folder):
                sync(path)
            again = audit_export(file, public_key_of(private_key(settings.home)))
            if not again.sound or again.heads != sound.heads or again.events != written:
                raise RecordDamaged(
                    f"{file} does not read back as it was written.",
                    kept="Nothing was dropped.",
                    next_step="Archive to another disk.",
                )
            trees = Trees(connection)
            state = _orders_state(connection, settings, until) if log is Log.ORDERS else None
            for end in sound.heads:
                subtrees = trees.tree(end.log, end.partition, Range(0, end.sequence)).subtrees
                months.anchor(end, subtrees, file.name, state)
            dropped = months.drop()
    return Archived(file=str(file), events=written, dropped=tuple(dropped))


def _orders_state(connection: psycopg.Connection, settings: Settings, until: datetime) -> bytes:
    """Return what the gateway knows behind the last event that is to leave.

    The gateway's own snapshot is not asked: this one follows from events that were just checked.
    """
    record = Record(connection)
    before = record.archived_state(Log.ORDERS, LOG_PARTITION)
    limits = settings.trading
    book = OrderBook(limits) if before is None else OrderBook.from_bytes(before, limits)
    for entry in record.entries(Log.ORDERS, before=until):
        book.apply(entry.message)
    return book.to_bytes()


def _sound(
    connection: psycopg.Connection,
    log: Log,
    until: datetime,
    heads: Sequence[Head],
    kept: Sequence[SignedHead],
) -> Audit:
    """Return what checking the part that is to leave found, if all is well with it."""
    ends = {head.partition: head.sequence for head in heads}
    trees = [tree for head in kept for tree in head.statement.trees if tree.log == log]
    record = Record(connection)
    found = verify(
        record.entries(log, before=until),
        [tree for tree in trees if tree.sequence <= ends.get(tree.partition, 0)],
        ends=heads,
        anchors=[a for a in record.anchors() if a.log == log and a.partition in ends],
    )
    for first in found.findings:
        raise RecordDamaged(
            f"{first.log}/{first.partition}: event {first.sequence} was {first.fault}: "
            f"{first.explanation}.",
            kept="Nothing was archived.",
            next_step="`quorum audit verify` says more.",
        )
    return found


def _end_of(month: str) -> datetime:
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidValue(f"{month!r} is no month.", next_step="Write it as 2026-10.") from None
    year, number = divmod(first.month, _DECEMBER)
    until = first.replace(year=first.year + year, month=number + 1)
    if until > datetime.now(UTC):
        raise InvalidValue(
            f"{month} is not over.", next_step="Archive it when the next month has begun."
        )
    return until


def _ends(months: Months, log: Log, month: str) -> dict[int, int]:
    """Return partition → the last event to archive, if all of them may go."""
    ends = months.ends()
    if not ends:
        raise InvalidValue(
            f"Nothing of the {log} log up to {month} is in the database.", next_step="Nothing."
        )
    if later := months.later_before(ends):
        raise InvalidValue(
            f"{later} events before the end of {month} were recorded after it: the database's "
            "clock went back.",
            next_step="Archive up to the month after.",
        )
    return ends


def _heads(connection: psycopg.Connection, log: Log, ends: dict[int, int]) -> list[Head]:
    rows = connection.execute(
        """
        SELECT partition, sequence, hash FROM ledger.events
        JOIN unnest(%s::integer[], %s::bigint[]) AS ends (partition, sequence)
            USING (partition, sequence)
        WHERE log = %s
        """,
        (list(ends), list(ends.values()), log),
    )
    return [Head(log=log, partition=p, sequence=n, hash=h) for p, n, h in rows]
