"""The journal in blocks, the outbox's end, and transactions that a socket can't take at once."""

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ledger import PostgresLedger, migrate
from adapters.ledger.journal import pack, unpack
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, Log, Offset, Outgoing
from domain.streams import Stream
from tests.adapters.test_ledger_postgres import connect, migrate_to
from tests.builders import tick

deliveries = st.lists(
    st.builds(
        Delivery,
        stream=st.sampled_from(Stream),
        partition=st.integers(0, 255),
        position=st.integers(0, 2**60).map("{}-0".format),
        data=st.binary(max_size=50),
    )
)


def delivery(number: int, data: bytes = b"{}") -> Delivery:
    return Delivery(stream=Stream.VOTES, partition=0, position=f"{number}-0", data=data)


@settings(max_examples=50)
@given(inputs=deliveries, before=st.integers(0, 2**40))
def test_a_block_gives_back_what_it_was_made_of(inputs: list[Delivery], before: int):
    found = unpack(before + len(inputs), pack(inputs))
    assert [(i.stream, i.partition, i.position, i.data) for i in found] == [
        (d.stream, d.partition, d.position, d.data) for d in inputs
    ]
    assert [i.number for i in found] == list(range(before + 1, before + 1 + len(inputs)))


async def test_pages_need_not_end_where_blocks_do(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    for start in (1, 4, 11):
        inputs = tuple(delivery(n) for n in range(start, {1: 4, 4: 11, 11: 12}[start]))
        await ledger.commit(lease, Commit(expected_sequence=0, inputs=inputs))
    for after in range(12):
        page = await ledger.inputs(Log.DECISIONS, 0, after=after, limit=3)
        assert [i.number for i in page] == list(range(after + 1, min(after + 4, 12)))
        assert [i.position for i in page] == [f"{i.number}-0" for i in page]
    await ledger.close()


@pytest.mark.parametrize("version", ["0001", "0002", "0003"])
async def test_a_journal_of_an_earlier_release_is_kept(empty_database: str, version: str):
    migrate_to(empty_database, version)
    rows = [
        (log, partition, number, "votes", 0, f"{number}-0", b"%d" % number)
        for log, partition in (("decisions", 0), ("decisions", 1), ("other", 0))
        for number in range(1, 701)
    ]
    with connect(empty_database) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO ledger.inputs VALUES (%s, %s, %s, %s, %s, %s, %b)", rows)
    migrate(empty_database)
    ledger = PostgresLedger(empty_database)
    for partition in (0, 1):
        inputs = await ledger.inputs(Log.DECISIONS, partition, limit=1_000)
        assert [(i.number, i.position, i.data) for i in inputs] == [
            (n, f"{n}-0", b"%d" % n) for n in range(1, 701)
        ]
    await ledger.close()


@pytest.mark.timeout(60)
async def test_a_transaction_larger_than_a_socket_takes_is_written(ledger_url: str):
    ledger = PostgresLedger(ledger_url)
    lease = await ledger.acquire(Log.DECISIONS, 0)
    large = bytes(range(256)) * 20_000
    await ledger.commit(
        lease, Commit(expected_sequence=0, inputs=(delivery(1, large),), snapshot=large)
    )
    snapshot = await ledger.snapshot(Log.DECISIONS, 0)
    assert snapshot is not None
    assert snapshot.data == large
    assert [i.data for i in await ledger.inputs(Log.DECISIONS, 0)] == [large]
    await ledger.close()


def outbox_rows(url: str, stream: Stream) -> list[int]:
    with connect(url) as connection:
        query = "SELECT sequence FROM ledger.outbox WHERE stream = %s ORDER BY sequence"
        return [n for (n,) in connection.execute(query, (stream,))]


async def test_outbox_rows_that_nobody_needs_are_deleted(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("adapters.ledger.writer._OUTBOX_KEPT", 3)
    monkeypatch.setattr("adapters.ledger.writer._FORGOTTEN_AT_ONCE", 2)
    ledger = PostgresLedger(ledger_url)
    taker = await ledger.acquire(Log.ORDERS, 0)
    lease = await ledger.acquire(Log.DECISIONS, 0)

    async def published(number: int) -> None:
        """Commit one message for each stream, and say that the one before was published."""
        outbox = tuple(
            Outgoing(stream=s, partition=0, message=tick(number))
            for s in (Stream.DECISIONS, Stream.PORTFOLIO)
        )
        commit = Commit(expected_sequence=0, outbox=outbox, published=tuple(last))
        last[:] = (await ledger.commit(lease, commit)).outbox

    last: list = []
    for number in range(20):
        await published(number)
    assert outbox_rows(ledger_url, Stream.DECISIONS) == list(range(1, 21))
    kept = outbox_rows(ledger_url, Stream.PORTFOLIO)
    assert kept == list(range(kept[0], 21))
    assert 4 <= len(kept) <= 7
    offset = Offset(stream=Stream.DECISIONS, partition=0, position="12-0")
    await ledger.commit(taker, Commit(expected_sequence=0, offsets=(offset,)))
    [decisions, _] = await ledger.outbox_heads(Log.DECISIONS, 0)
    assert (decisions.published, decisions.needed_after) == (19, 12)
    for number in range(20, 24):
        await published(number)
    assert outbox_rows(ledger_url, Stream.DECISIONS) == list(range(13, 25))
    again = await ledger.outbox(Stream.DECISIONS, 0, after=12, until=23, limit=100)
    assert [i.sequence for i in again] == list(range(13, 24))
    assert await ledger.unpublished(Log.DECISIONS, 0) == sorted(last, key=lambda item: item.stream)
    await ledger.close()


async def test_the_services_role_deletes_from_the_outbox_only(ledger_url: str):
    with connect(ledger_url) as connection:
        connection.execute("SET ROLE quorum_service")
        connection.execute("DELETE FROM ledger.outbox")
        for table in ("events", "input_blocks", "outbox_heads", "heads"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"DELETE FROM ledger.{table}")
