"""Backups that are restored whole or not at all, and months that leave and can still be checked."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest

from adapters.clock import EventClock
from adapters.ledger import PostgresLedger, migrate
from adapters.ledger.copying import filled_tables
from adapters.metrics import PrometheusMetrics
from adapters.record_key import private_key
from consensus.signatures import public_key_of
from domain.errors import ConfigurationError, InvalidValue, RecordDamaged, SequenceConflict
from domain.messages import Message
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, DeadLetter, Log, Outgoing
from domain.settings import Settings, load_settings
from domain.streams import Stream
from domain.voting import Action, Outcome
from orchestration.archive import archive
from orchestration.audit import audit_export, audit_record
from orchestration.backup import back_up, restore
from orchestration.command_line.application import run
from orchestration.tree_heads import kept_heads, prove, prove_growth, sign_head
from tests.builders import tick
from tests.trading.lives import events_of
from trading.handler import GatewayHandler
from trading.paper_venue import PaperVenue

Commits = Callable[..., None]


def address(url: str) -> str:
    return url.replace("+psycopg", "", 1)


async def append(url: str, *numbers: int, log: str = Log.DECISIONS, partition: int = 0) -> None:
    """Commit events together with all that a commit can hold."""
    ledger = PostgresLedger(url)
    lease = await ledger.acquire(log, partition)
    events = tuple(tick(100_000 * partition + number) for number in numbers)
    commit = Commit(
        expected_sequence=lease.sequence,
        events=events,
        inputs=tuple(
            Delivery(stream=Stream.VOTES, partition=partition, position=f"{n}-0", data=b"{}")
            for n in numbers
        ),
        outbox=tuple(
            Outgoing(stream=Stream.DECISIONS, partition=partition, message=e) for e in events
        )
        if log == Log.DECISIONS
        else (),
        dead_letters=tuple(
            DeadLetter(
                stream=Stream.VOTES,
                partition=partition,
                position=f"{n}-1",
                reason="bad",
                attempts=1,
                data=b"\xff",
            )
            for n in numbers[:1]
        ),
        snapshot=b"state",
    )
    try:
        committed = await ledger.commit(lease, commit)
        await ledger.mark_published(lease, committed.outbox)
    finally:
        await ledger.close()


@pytest.fixture
def platform(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Settings]:
    """Make a platform with a state folder and a ledger of its own."""

    def make(name: str) -> Settings:
        url = new_database()
        migrate(url)
        monkeypatch.setenv("QUORUM_HOME", str(tmp_path / name))
        monkeypatch.setenv("QUORUM_LEDGER_URL", url)
        return load_settings()

    return make


def url_of(settings: Settings) -> str:
    return settings.ledger_url.get_secret_value()


def key_of(settings: Settings) -> bytes:
    return public_key_of(private_key(settings.home))


def hashes(settings: Settings) -> dict[str, str]:
    return {log: found.log_hash for log, found in audit_record(settings).items()}


@pytest.fixture
def backed_up(platform, tmp_path: Path) -> tuple[Settings, Path]:
    here = platform("here")
    asyncio.run(append(url_of(here), *range(5)))
    sign_head(here)
    asyncio.run(append(url_of(here), 7, 8, partition=1))
    asyncio.run(append(url_of(here), 9, log=Log.ORDERS))
    folder = tmp_path / "backups" / "monday"
    assert back_up(here, folder).events == 8
    return here, folder


def test_a_restored_ledger_is_the_one_that_was_backed_up_and_goes_on(backed_up, platform):
    here, folder = backed_up
    there = platform("there")
    assert restore(there, folder, key_of(here)).newest == 2
    # The key travels apart from the backup.
    (there.home / "keys").mkdir()
    (there.home / "keys" / "record.pem").write_bytes(
        (here.home / "keys" / "record.pem").read_bytes()
    )
    (there.home / "keys" / "record.pem").chmod(0o600)
    assert hashes(there) == hashes(here)
    assert kept_heads(there.home / "tree-heads") == kept_heads(here.home / "tree-heads")
    with pytest.raises(SequenceConflict):
        asyncio.run(append(url_of(there), 3))
    asyncio.run(append(url_of(there), 100))
    assert sign_head(there).statement.number == 3
    assert all(found.sound for found in audit_record(there).values())
    with psycopg.connect(address(url_of(there))) as connection:
        letters = connection.execute("SELECT count(*) FROM ledger.dead_letters").fetchone()
        inputs = connection.execute(
            "SELECT max(last) FROM ledger.input_blocks WHERE partition = 0 AND log = 'decisions'"
        ).fetchone()
    assert (letters, inputs) == ((4,), (6,))


def test_a_backup_goes_on_beside_a_writer_and_is_of_one_moment(backed_up, platform, tmp_path):
    here, _ = backed_up

    async def both() -> None:
        saving = asyncio.ensure_future(asyncio.to_thread(back_up, here, tmp_path / "tuesday"))
        for number in range(1000, 1010):
            await append(url_of(here), number)
        await saving

    asyncio.run(both())
    there = platform("there")
    restore(there, tmp_path / "tuesday", key_of(here))


def test_a_ledger_that_holds_anything_is_not_restored_into(backed_up):
    here, folder = backed_up
    with pytest.raises(InvalidValue, match=r"not empty: .*events"):
        restore(here, folder, key_of(here))


def is_empty(settings: Settings) -> bool:
    with psycopg.connect(address(url_of(settings))) as connection:
        return not filled_tables(connection)


def test_any_file_of_a_backup_that_was_changed_is_found(backed_up, platform):
    here, folder = backed_up
    there = platform("there")
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for tampered in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
            path.write_bytes(tampered)
            with pytest.raises(RecordDamaged):
                restore(there, folder, key_of(here))
        path.unlink()
        with pytest.raises(RecordDamaged):
            restore(there, folder, key_of(here))
        path.write_bytes(whole)
    with pytest.raises(RecordDamaged, match="not signed by that key"):
        restore(there, folder, bytes(32))
    assert is_empty(there)
    restore(there, folder, key_of(here))


def test_a_record_that_was_forged_before_it_was_backed_up_is_not_restored(
    platform, tmp_path, monkeypatch
):
    here = platform("here")
    asyncio.run(append(url_of(here), *range(5)))
    monkeypatch.setattr("orchestration.backup.signed_head", lambda *_: sign_head(here))
    sign_head(here)
    with psycopg.connect(address(url_of(here))) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE ledger.events SET message_id = 'x', data = '{}'")
        connection.execute("INSERT INTO ledger.tree_blocks VALUES ('decisions', 0, 0, '')")
    monkeypatch.setattr("orchestration.backup.signed_head", lambda *_: None)
    back_up(here, tmp_path / "forged")
    there = platform("there")
    with pytest.raises(RecordDamaged, match="decisions/0 event 1: changed"):
        restore(there, tmp_path / "forged", key_of(here))
    assert is_empty(there)


def test_a_backup_older_than_a_kept_head_says_what_would_be_lost(backed_up, new_database):
    here, folder = backed_up
    asyncio.run(append(url_of(here), 50, 51, 52))
    sign_head(here)
    url = new_database()
    again = here.model_copy(update={"ledger_url": type(here.ledger_url)(url)})
    with pytest.raises(InvalidValue, match="head 3 is kept: 3 events would be lost"):
        restore(again, folder, key_of(here))
    (here.home / "tree-heads" / "head-00000003.json").unlink()
    restore(again, folder, key_of(here))


def test_a_backup_of_another_release_is_refused(backed_up, platform, monkeypatch):
    here, folder = backed_up
    monkeypatch.setattr("orchestration.backup.HEAD", "9999")
    with pytest.raises(ConfigurationError, match="this release writes 9999"):
        restore(platform("there"), folder, key_of(here))


def test_a_backup_that_fails_leaves_nothing(backed_up, tmp_path, monkeypatch):
    here, folder = backed_up
    with pytest.raises(InvalidValue, match="exists already"):
        back_up(here, folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adapters.ledger.copying.sync", full)
    with pytest.raises(OSError, match="No space left"):
        back_up(here, tmp_path / "backups" / "tuesday")
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["monday"]


def age(settings: Settings, months: int) -> str:
    """Let everything on record have been recorded so many months ago; return that month."""
    with psycopg.connect(address(url_of(settings))) as connection:
        connection.execute("SET session_replication_role = replica")
        row = connection.execute(
            "SELECT to_char(now() AT TIME ZONE 'UTC' - make_interval(months => %s), 'YYYY-MM')",
            (months,),
        ).fetchone()
        assert row
        for parent in ("events_decisions", "events_orders", "input_blocks"):
            connection.execute(
                "SELECT ledger.make_month(%s::regclass, to_date(%s, 'YYYY-MM'))",
                (f"ledger.{parent}", row[0]),
            )
        for parent in ("events", "input_blocks"):
            connection.execute(
                f"UPDATE ledger.{parent} SET recorded_at = to_date(%s, 'YYYY-MM')"
                " WHERE recorded_at >= date_trunc('month', now())",
                (row[0],),
            )
        return str(row[0])


def test_archived_months_can_still_be_checked_and_are_decided_once(
    platform, tmp_path: Path, capsys
):
    here = platform("here")
    asyncio.run(append(url_of(here), *range(1100)))
    asyncio.run(append(url_of(here), *range(3), partition=1))
    oldest = age(here, 3)
    asyncio.run(append(url_of(here), *range(2000, 2500)))
    asyncio.run(append(url_of(here), 1, log=Log.ORDERS))
    middle = age(here, 2)
    asyncio.run(append(url_of(here), *range(3000, 3700)))
    before = hashes(here)
    sign_head(here)

    moved = archive(here, oldest, tmp_path / "archive")
    assert (moved.events, len(moved.dropped)) == (1103, 2)
    again = archive(here, middle, tmp_path / "archive")
    assert again.events == 500
    # What no archive took is where it was, the orders log whole.
    assert hashes(here) == before
    audits = audit_record(here)
    assert {log: (a.sound, a.events) for log, a in audits.items()} == {
        "decisions": (True, 700),
        "orders": (True, 1),
    }
    for file in (moved.file, again.file):
        assert audit_export(Path(file), key_of(here)).sound
    asyncio.run(append(url_of(here), 9000))
    assert sign_head(here).statement.number == 2
    assert run(["audit", "verify"]) == 0
    assert prove(here, tick(3000).message_id).sequence == 1601
    assert prove_growth(here, 1)
    with pytest.raises(SequenceConflict):
        asyncio.run(append(url_of(here), 5))
    # A cut of the present part down to the anchor, and one beyond it, are still found.
    with psycopg.connect(address(url_of(here))) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM ledger.events WHERE partition = 0 AND log = 'decisions'")
    assert run(["audit", "verify"]) == 7
    assert "event 1601 was truncated" in capsys.readouterr().err


async def record_orders(url: str, events: Sequence[Message]) -> None:
    ledger = PostgresLedger(url)
    lease = await ledger.acquire(Log.ORDERS, 0)
    try:
        await ledger.commit(lease, Commit(expected_sequence=lease.sequence, events=tuple(events)))
    finally:
        await ledger.close()


async def recovered(url: str) -> tuple[int, bytes]:
    """Return where the newest snapshot stands, and what a gateway knows that starts now."""
    ledger, settings = PostgresLedger(url), Settings()
    venue = PaperVenue(settings.trading)
    handler = GatewayHandler(venue, EventClock(), PrometheusMetrics(), settings)
    await handler.recover(ledger)
    snapshot = await ledger.snapshot(Log.ORDERS, 0)
    return snapshot.sequence if snapshot else 0, handler.gateway.book.to_bytes()


def test_the_gateway_goes_on_where_its_archived_months_ended(platform, tmp_path: Path, capsys):
    here = platform("here")
    url, folder = url_of(here), tmp_path / "archive"
    steps: list[tuple] = [("bar", symbol, 100) for symbol in ("IBM", "MSFT")]
    for day in range(8):
        steps += [("decision", "IBM", Action.BUY, Outcome.EXECUTE, 400, 3)]
        steps += [("bar", "IBM", 100 + day), ("bar", "MSFT", 100 - day)]
    gateway, events = asyncio.run(events_of(steps))
    first, second = len(events) // 3, 2 * len(events) // 3
    asyncio.run(record_orders(url, events[:first]))
    oldest = age(here, 3)
    asyncio.run(record_orders(url, events[first:second]))
    asyncio.run(append(url, 1))
    middle = age(here, 2)
    asyncio.run(record_orders(url, events[second:]))
    before = hashes(here)
    state = gateway.book.to_bytes()
    assert asyncio.run(recovered(url)) == (0, state)

    for month, archived in ((oldest, first), (middle, second)):
        moved = archive(here, month, folder, Log.ORDERS)
        assert audit_export(Path(moved.file), key_of(here)).sound
        assert asyncio.run(recovered(url)) == (archived, state)
        assert hashes(here) == before  # of all that was ever recorded
    # The decisions of those months are where they were, and the rest is the orders log's own.
    audits = audit_record(here)
    assert {log: (a.sound, a.events) for log, a in audits.items()} == {
        "decisions": (True, 1),
        "orders": (True, len(events) - second),
    }
    with pytest.raises(SequenceConflict):  # what is archived is still recorded only once
        asyncio.run(record_orders(url, events[:1]))
    assert run(["audit", "verify"]) == 0
    assert run(["projections", "rebuild"]) == 0
    assert run(["audit", "archive", middle, str(tmp_path / "other"), "--log", "orders"]) == 2
    assert f"Nothing of the orders log up to {middle}" in capsys.readouterr().err


def test_an_archive_that_was_tampered_with_is_found(platform, tmp_path: Path):
    here = platform("here")
    asyncio.run(append(url_of(here), *range(20)))
    month = age(here, 1)
    file = Path(archive(here, month, tmp_path / "archive").file)
    beside = file.with_name(f"{file.name}.head.json")
    whole = beside.read_bytes()
    export = json.loads(whole)
    export["ends"][0]["sequence"] -= 1
    beside.write_bytes(msgspec.json.encode(export))
    with pytest.raises(RecordDamaged, match="does not vouch"):
        audit_export(file, key_of(here))


def test_what_is_still_needed_stays(platform, tmp_path: Path):
    here = platform("here")
    folder = tmp_path / "archive"
    with pytest.raises(InvalidValue, match="is no month"):
        archive(here, "October", folder)
    with pytest.raises(InvalidValue, match="is not over"):
        archive(here, "2999-12", folder)
    asyncio.run(append(url_of(here), *range(5)))
    month = age(here, 1)
    with pytest.raises(InvalidValue, match="Nothing of the decisions log up to 2000-01"):
        archive(here, "2000-01", folder)
    with psycopg.connect(address(url_of(here))) as connection:
        connection.execute("UPDATE ledger.outbox_heads SET published = 3")
        connection.execute("DELETE FROM ledger.snapshots")
    moved = archive(here, month, folder)
    assert not any(name.startswith("input") for name in moved.dropped)  # needed to start

    async def unpublished() -> list[int]:
        return [
            item.sequence
            for item in await PostgresLedger(url_of(here)).unpublished(Log.DECISIONS, 0)
        ]

    assert asyncio.run(unpublished()) == [4, 5]
    with pytest.raises(InvalidValue, match="exists already"):
        archive(here, month, folder)


def test_the_commands(platform, tmp_path: Path, capsys):
    here = platform("here")
    asyncio.run(append(url_of(here), *range(5)))
    month = age(here, 1)
    assert run(["audit", "archive", month, str(tmp_path / "archive"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 5
    asyncio.run(append(url_of(here), 6))
    key, folder = str(tmp_path / "key.pem"), str(tmp_path / "backup")
    assert run(["audit", "key", "--output", key]) == 0
    assert run(["backup", folder]) == 0
    capsys.readouterr()
    platform("there")
    assert run(["restore", folder, "--key", key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 1
    assert run(["restore", folder, "--key", key]) == 2
