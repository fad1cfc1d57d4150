"""What only a database can show: its schema, its privileges, and lost connections."""

import asyncio

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
from adapters.ledger.migration import HEAD, schema_version
from adapters.ledger.schema import metadata as ledger_tables
from adapters.projections.schema import metadata as read_side_tables
from domain.errors import ConfigurationError, Fenced, RecordUnavailable
from domain.ports.ledger import Commit, DeadLetter, LetterAction, Log
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


@pytest.mark.parametrize("version", ["0001", "0002", "0003"])
async def test_data_of_an_earlier_release_is_kept(empty_database: str, version: str):
    migrate_to(empty_database, version)
    ledger = PostgresLedger(empty_database)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(
        lease, Commit(expected_sequence=0, events=(tick(1),), dead_letters=(LETTER,))
    )
    await ledger.release(lease)
    migrate(empty_database)
    assert [e.message for e in await ledger.events(Log.DECISIONS, 0)] == [tick(1)]
    assert await ledger.dead_letters() == [LETTER]
    lease = await ledger.acquire(Log.DECISIONS, 0)
    assert (
        await ledger.commit(lease, Commit(expected_sequence=1, events=(tick(2),)))
    ).sequence == 2
    await ledger.close()
    letters = DeadLetters(empty_database)
    assert letters.answer(1, LetterAction.DISCARDED, actor="ada", reason="a probe")
    [stored] = letters.found(answered=True)
    assert (stored.letter, stored.answer and stored.answer.actor) == (LETTER, "ada")
    letters.close()


async def test_dead_letters_and_what_was_done_about_them_can_not_be_changed(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, dead_letters=(LETTER,)))
    await ledger.close()
    letters = DeadLetters(ledger_url)
    letters.answer(1, LetterAction.DISCARDED, actor="ada", reason="a probe")
    letters.close()
    for statement in (
        "UPDATE ledger.dead_letters SET data = ''",
        "DELETE FROM ledger.dead_letters",
        "UPDATE ledger.dead_letter_answers SET actor = 'bob'",
        "DELETE FROM ledger.dead_letter_answers",
        "TRUNCATE ledger.dead_letter_answers",
    ):
        with connect(ledger_url) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.events SET data = ''",
        "DELETE FROM ledger.events",
        "TRUNCATE ledger.events",
    ],
)
async def test_recorded_events_can_not_be_changed(ledger_url: str, statement: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    with connect(ledger_url) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(statement)
    with connect(ledger_url) as owner:
        owner.execute("SET session_replication_role = replica")  # the role alone refuses
        owner.execute("SET ROLE quorum_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            owner.execute(statement)
    await ledger.close()


async def test_the_ledger_works_without_the_owners_privileges(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    await ledger.acquire(Log.DECISIONS, 0)
    with connect(ledger_url) as connection:
        connection.execute("SET ROLE quorum_service")
        grants = connection.execute(
            "SELECT privilege_type FROM information_schema.role_table_grants"
            " WHERE table_name = 'events' AND grantee = 'quorum_service'"
        ).fetchall()
    assert {g[0] for g in grants} == {"SELECT", "INSERT"}
    await ledger.close()


async def test_a_writer_whose_session_was_ended_goes_on(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    await ledger.commit(lease, Commit(expected_sequence=0, events=(tick(1),)))
    end_other_sessions(ledger_url)
    commit = Commit(expected_sequence=1, events=(tick(2),))
    with pytest.raises(RecordUnavailable):
        await ledger.commit(lease, commit)
    assert (await ledger.commit(lease, commit)).sequence == 2
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
    assert (await ledger.commit(lease, commit)).sequence == 1
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
