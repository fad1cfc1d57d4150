"""What only a database can show: its schema, its privileges, and lost connections."""

import asyncio
from itertools import accumulate

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, text

from adapters.ledger import PostgresLedger, migrate
from adapters.ledger.dead_letters import DeadLetters
from adapters.ledger.journal import pack
from adapters.ledger.migration import HEAD, schema_version
from adapters.ledger.postgres import MONTHS_AHEAD
from adapters.ledger.reading import Record, snapshot
from adapters.ledger.schema import metadata as ledger_tables
from adapters.projections.schema import metadata as read_side_tables
from consensus.audit import verify
from domain.chain import link
from domain.errors import (
    ConfigurationError,
    Fenced,
    RecordReadOnly,
    RecordUnavailable,
    SequenceConflict,
)
from domain.messages import encode
from domain.ports.bus import Delivery
from domain.ports.ledger import (
    GENESIS,
    Commit,
    Committed,
    DeadLetter,
    Lease,
    LetterAction,
    Log,
)
from domain.streams import Stream
from tests.builders import tick

LETTER = DeadLetter(
    stream=Stream.VOTES, partition=0, position="2-0", reason="bad", attempts=1, data=b"\xff"
)


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def migrate_to(url: str, version: str) -> None:
    """Bring a new database to an earlier release's schema."""
    config = Config()
    config.set_main_option("script_location", "adapters/ledger/migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA ledger"))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


def end_other_sessions(url: str) -> None:
    with connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_migrating_twice_ends_at_the_head(empty_database: str):
    for _ in range(2):
        migrate(empty_database)
    with connect(empty_database) as connection:
        assert schema_version(connection) == HEAD
    config = Config()
    config.set_main_option("script_location", "adapters/ledger/migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_processes_that_migrate_at_once_wait_for_each_other(empty_database: str):
    await asyncio.gather(*(asyncio.to_thread(migrate, empty_database) for _ in range(3)))
    with connect(empty_database) as connection:
        assert schema_version(connection) == HEAD


def test_a_newer_schema_is_refused(empty_database: str):
    migrate(empty_database)
    with connect(empty_database) as connection:
        connection.execute("UPDATE ledger.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="another release"):
        migrate(empty_database)


def test_an_unreachable_server_is_named(tmp_path):
    with pytest.raises(RecordUnavailable, match="can't be reached"):
        migrate(f"postgresql+psycopg://quorum@/quorum?host={tmp_path}")


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match="not a PostgreSQL address"):
        PostgresLedger("mysql://localhost/x")


@pytest.mark.parametrize("metadata", [ledger_tables, read_side_tables], ids=["ledger", "read side"])
def test_the_tables_are_those_that_queries_expect(ledger_url: str, metadata: MetaData):
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: (
                    name == metadata.schema if kind == "schema" else kind != "index"
                ),
                "include_object": lambda _, name, kind, *__: (
                    kind != "index"
                    and (kind != "table" or f"{metadata.schema}.{name}" in metadata.tables)
                ),
                "compare_type": True,
            },
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def journal(connection: psycopg.Connection, version: str, number: int, data: bytes) -> None:
    """Journal an input as that version does."""
    if version < "0004":
        statement = (
            "INSERT INTO ledger.inputs (log, partition, number, stream, stream_partition,"
            " position, data) VALUES ('decisions', 0, %s, 'votes', 0, '1-0', %s)"
        )
        connection.execute(statement, (number, data))
        return
    block = pack([Delivery(stream=Stream.VOTES, partition=0, position="1-0", data=data)])
    connection.execute(
        "INSERT INTO ledger.input_blocks (log, partition, first, last, data)"
        " VALUES ('decisions', 0, %s, %s, %s)",
        (number, number, block),
    )


@pytest.mark.parametrize("version", [f"{n:04}" for n in range(1, 10)])
async def test_data_of_an_earlier_release_is_kept(empty_database: str, version: str):
    migrate_to(empty_database, version)
    data = [encode(tick(second)) for second in range(3)]
    hashes = list(accumulate(data, link, initial=GENESIS))[1:]
    with connect(empty_database) as connection:
        for number, (entry, digest) in enumerate(zip(data, hashes, strict=True), 1):
            connection.execute(
                "INSERT INTO ledger.events (log, partition, sequence, message_id, occurred_at,"
                " data, hash) VALUES ('decisions', 0, %s, %s, now(), %s, %s)",
                (number, tick(number - 1).message_id, entry, digest),
            )
            journal(connection, version, number, entry)
            connection.execute(
                "INSERT INTO ledger.outbox (stream, stream_partition, sequence, log, partition,"
                " event_sequence) VALUES ('decisions', 0, %s, 'decisions', 0, %s)",
                (number, number),
            )
        connection.execute(
            "INSERT INTO ledger.heads VALUES ('decisions', 0, 1, 1, 3, %s, 3)", (hashes[-1],)
        )
        connection.execute(
            "INSERT INTO ledger.outbox_heads VALUES ('decisions', 0, 'decisions', 0, 3, 1)"
        )
        connection.execute(
            "INSERT INTO ledger.dead_letters (log, stream, stream_partition, position, reason,"
            " attempts, data, trace) VALUES ('decisions', 'votes', 0, '2-0', 'bad', 1, %s, '')",
            (LETTER.data,),
        )
    migrate(empty_database)
    ledger = PostgresLedger(empty_database)
    assert [e.data for e in await ledger.events(Log.DECISIONS, 0)] == data
    assert [i.data for i in await ledger.inputs(Log.DECISIONS, 0)] == data
    unpublished = await ledger.unpublished(Log.DECISIONS, 0)
    assert [(i.sequence, i.message) for i in unpublished] == [(2, tick(1)), (3, tick(2))]
    assert await ledger.recorded(Log.DECISIONS, [tick(1).message_id])
    assert await ledger.dead_letters() == [LETTER]
    lease = await ledger.acquire(Log.DECISIONS, 0)
    assert lease.sequence == 3
    with pytest.raises(SequenceConflict):  # exactly once, also over a migration
        await ledger.commit(lease, Commit(expected_sequence=3, events=(tick(1),)))
    assert (
        await ledger.commit(lease, Commit(expected_sequence=3, events=(tick(4),)))
    ).sequence == 4
    await ledger.close()
    with snapshot(empty_database) as connection:
        record = Record(connection)
        assert verify(record.entries(), ends=record.heads()).sound
    letters = DeadLetters(empty_database)
    assert letters.answer(1, LetterAction.DISCARDED, actor="ada", reason="a probe")
    letters.close()


MONTHS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger.events_decisions'::regclass"


async def test_what_is_recorded_stands_in_its_month(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    for log in Log:
        lease = await ledger.acquire(log, 0)
        await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    await ledger.close()
    with connect(ledger_url) as connection:
        found = connection.execute(
            "SELECT tableoid::regclass::text FROM ledger.events ORDER BY log"
        ).fetchall()
        months = connection.execute(
            "SELECT to_char(now() AT TIME ZONE 'UTC', '_YYYY_MM')"
        ).fetchone()
        assert found == [(f"ledger.events_{kind}{months[0]}",) for kind in ("decisions", "orders")]
        assert connection.execute(MONTHS).fetchone() == (MONTHS_AHEAD + 1,)


async def test_a_month_that_nobody_made_is_made_by_the_commit_that_needs_it(empty_database: str):
    migrate(empty_database)
    ledger = PostgresLedger(empty_database)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    with connect(empty_database) as connection:
        drop_months(connection, "ledger.events_decisions")
    commit = Commit(expected_sequence=0, events=(tick(1),))
    with pytest.raises(RecordUnavailable, match="no place for this month"):
        await ledger.commit(lease, commit)
    assert (await ledger.commit(lease, commit)).sequence == 1
    await ledger.close()


async def test_several_that_make_months_at_once_make_each_once(empty_database: str):
    migrate(empty_database)

    def make(_: int) -> None:
        with connect(empty_database) as connection:
            connection.execute("SET ROLE quorum_service")
            connection.execute("SELECT ledger.make_months(6)")

    await asyncio.gather(*(asyncio.to_thread(make, n) for n in range(4)))
    with connect(empty_database) as connection:
        assert connection.execute(MONTHS).fetchone() == (7,)


def drop_months(connection: psycopg.Connection, parent: str) -> None:
    months = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (parent,)
    ).fetchall()
    connection.execute(f"DROP TABLE {', '.join(name for (name,) in months)}")


def set_read_only(url: str, value: str) -> None:
    with connect(url) as connection:
        name = connection.info.dbname
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
    end_other_sessions(url)


async def test_a_read_only_ledger_says_so_and_goes_on_when_it_is_writable(empty_database: str):
    migrate(empty_database)
    ledger = PostgresLedger(empty_database)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    commit = Commit(expected_sequence=0, events=(tick(1),))
    set_read_only(empty_database, "on")
    with pytest.raises(RecordUnavailable):
        await ledger.commit(lease, commit)
    with pytest.raises(RecordReadOnly, match="takes no writes"):
        await ledger.commit(lease, commit)
    with pytest.raises(RecordReadOnly):
        await ledger.acquire(Log.ORDERS, 0)
    assert await ledger.events(Log.DECISIONS, 0) == []
    set_read_only(empty_database, "off")
    with pytest.raises(RecordUnavailable):
        await ledger.commit(lease, commit)
    assert (await ledger.commit(lease, commit)).sequence == 1
    await ledger.close()


RECORD = (
    "events",
    "event_ids",
    "input_blocks",
    "dead_letters",
    "dead_letter_answers",
    "ignored",
)
"""What the service may only read and append to."""


@pytest.mark.parametrize("table", [*RECORD, "tree_blocks", "anchors"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.{} SET {} = {}",
        "DELETE FROM ledger.{}",
        "TRUNCATE ledger.{} CASCADE",
    ],
)
def test_the_record_is_append_only(ledger_url: str, table: str, statement: str):
    """Neither the owner, by accident, nor the service, at all, changes what is recorded."""
    with connect(ledger_url) as owner:
        [column] = owner.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 2",
            (f"ledger.{table}",),
        ).fetchone()
        statement = statement.format(table, column, column)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append only"):
            owner.execute(statement)
        owner.execute("SET session_replication_role = replica")  # the role alone refuses
        owner.execute("SET ROLE quorum_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            owner.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE ledger.events",
        "DROP SCHEMA ledger CASCADE",
        "DROP FUNCTION ledger.refuse_change CASCADE",
        "ALTER TABLE ledger.events DISABLE TRIGGER ALL",
        "ALTER TABLE ledger.events DETACH PARTITION ledger.events_decisions",
        "ALTER TABLE ledger.events ADD COLUMN forged text",
        "CREATE RULE forged AS ON INSERT TO ledger.events DO INSTEAD NOTHING",
        "CREATE TRIGGER forged BEFORE INSERT ON ledger.events EXECUTE FUNCTION ledger.keep_ids()",
        "CREATE TABLE ledger.forged (n integer)",
        "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE sql AS ''",
        "SELECT ledger.make_month('ledger.input_blocks', '2000-01-01')",
        "ALTER TABLE ledger.events OWNER TO quorum_service",
        "SET session_replication_role = replica",
        "INSERT INTO ledger.anchors VALUES ('decisions', 0, 1, '', '{}', '{}', '')",
    ],
)
def test_the_service_can_not_change_what_guards_the_record(ledger_url: str, statement: str):
    with connect(ledger_url) as connection:
        connection.execute("SET ROLE quorum_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_the_service_owns_nothing_and_may_only_read_and_append(ledger_url: str):
    with connect(ledger_url) as connection:
        owned = connection.execute(
            "SELECT relname FROM pg_class WHERE relowner = 'quorum_service'::regrole"
        ).fetchall()
        granted = connection.execute(
            "SELECT table_name, string_agg(privilege_type, ',' ORDER BY privilege_type)"
            " FROM information_schema.role_table_grants WHERE grantee = 'quorum_service'"
            " AND table_schema = 'ledger' GROUP BY 1"
        ).fetchall()
    assert owned == []
    grants = dict(granted)
    assert {table: grants[table] for table in RECORD} == dict.fromkeys(RECORD, "INSERT,SELECT")
    assert not any("TRUNCATE" in privileges for privileges in grants.values())


async def patiently(ledger: PostgresLedger, lease: Lease, commit: Commit) -> Committed:
    """Commit as the recorder does: again, while a broken session still lingers on the server."""
    while True:
        try:
            return await ledger.commit(lease, commit)
        except RecordUnavailable:
            await asyncio.sleep(0)


async def test_a_writer_whose_session_was_ended_goes_on(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    end_other_sessions(ledger_url)
    commit = Commit(expected_sequence=1, events=(tick(2),))
    with pytest.raises(RecordUnavailable):
        await ledger.commit(lease, commit)
    assert (await patiently(ledger, lease, commit)).sequence == 2
    assert [r.message for r in await ledger.events(Log.DECISIONS, 0)] == [tick(1), tick(2)]
    await ledger.close()


async def test_a_commit_whose_answer_was_lost_is_not_written_twice(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    commit = Commit(expected_sequence=0, events=(tick(1),))
    execute = psycopg.AsyncConnection.execute

    async def answer_lost(connection: psycopg.AsyncConnection, *arguments) -> None:
        await execute(connection, *arguments)
        raise psycopg.OperationalError("the line went dead")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "execute", answer_lost)
        with pytest.raises(RecordUnavailable):
            await ledger.commit(lease, commit)
    assert (await patiently(ledger, lease, commit)).sequence == 1
    assert len(await ledger.events(Log.DECISIONS, 0)) == 1
    assert (
        await ledger.commit(lease, Commit(expected_sequence=1, events=(tick(2),)))
    ).sequence == 2
    await ledger.close()


async def test_who_lost_the_lease_with_its_session_is_fenced(ledger_url: str):
    first, second = PostgresLedger(ledger_url), PostgresLedger(ledger_url)
    old = await first.acquire(Log.DECISIONS, 0)
    end_other_sessions(ledger_url)
    new = await second.acquire(Log.DECISIONS, 0)
    commit = Commit(expected_sequence=0, events=(tick(1),))
    with pytest.raises(RecordUnavailable):
        await first.commit(old, commit)
    with pytest.raises(Fenced):
        await first.commit(old, commit)
    await second.commit(new, commit)
    await first.close()
    await second.close()


async def test_an_old_token_is_refused_by_the_database(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    with connect(ledger_url) as connection:
        connection.execute("UPDATE ledger.heads SET token = token + 1")
    with pytest.raises(Fenced):
        await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    assert await ledger.events(Log.DECISIONS, 0) == []
    await ledger.close()


async def test_a_standby_that_is_stopped_leaves_no_lock(ledger_url: str):
    first, second = PostgresLedger(ledger_url), PostgresLedger(ledger_url)
    lease = await first.acquire(Log.DECISIONS, 0)
    waiting = asyncio.ensure_future(second.acquire(Log.DECISIONS, 0))
    with connect(ledger_url) as connection:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while connection.execute(query).fetchone() == (0,):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await first.release(lease)
    assert (await first.acquire(Log.DECISIONS, 0)).token == lease.token + 1
    await first.close()
    await second.close()
