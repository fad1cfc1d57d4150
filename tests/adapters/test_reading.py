"""The Merkle trees of a record, from kept blocks, anchors and events, against whole trees."""

import asyncio

import psycopg
import pytest

from adapters.ledger import PostgresLedger
from adapters.ledger.reading import BLOCK_LEVEL, Record, Trees, snapshot
from domain.errors import InvalidValue, RecordUnavailable
from domain.merkle import (
    CompactRange,
    Range,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
)
from domain.messages import encode
from domain.ports.ledger import Commit, Log
from tests.builders import tick

BLOCK = 1 << BLOCK_LEVEL
SIZE = 2 * BLOCK + 300
LEAVES = [leaf_hash(encode(tick(second))) for second in range(SIZE)]


def root(start: int, end: int) -> bytes:
    tree = CompactRange()
    for digest in LEAVES[start:end]:
        tree.append(digest)
    return tree.root()


@pytest.fixture
def url(ledger_url: str) -> str:
    async def fill() -> None:
        ledger = PostgresLedger(ledger_url)
        lease = await ledger.acquire(Log.DECISIONS, 0)
        for start in range(0, SIZE, 100):
            events = tuple(tick(second) for second in range(start, min(start + 100, SIZE)))
            await ledger.commit(lease, Commit(expected_sequence=start, events=events))
        await ledger.close()

    asyncio.run(fill())
    return ledger_url


def test_trees_and_proofs_are_those_of_all_leaves(url: str):
    with snapshot(url) as connection:
        [head] = Record(connection).heads()
        for _ in range(2):
            Trees(connection).keep_blocks(head)
        blocks = connection.execute("SELECT number, hash FROM ledger.tree_blocks").fetchall()
        assert blocks == [(n, root(n * BLOCK, (n + 1) * BLOCK)) for n in range(2)]
        trees = Trees(connection)
        assert trees.head(head).root == root(0, SIZE)

        def proof(ranges: list[Range]) -> list[bytes]:
            return [trees.tree(Log.DECISIONS, 0, leaves).root() for leaves in ranges]

        for index in (0, BLOCK - 1, BLOCK, 2 * BLOCK + 7, SIZE - 1):
            found = proof(inclusion_ranges(index, SIZE))
            assert proves_inclusion(LEAVES[index], index, SIZE, found, root(0, SIZE))
        for first in (1, BLOCK, BLOCK + 1, 2 * BLOCK + 1, SIZE):
            found = proof(consistency_ranges(first, SIZE))
            assert proves_consistency(first, SIZE, found, root(0, first), root(0, SIZE))


def test_a_forged_block_does_not_deceive_an_audit_but_shows(url: str):
    with snapshot(url) as connection:
        [head] = Record(connection).heads()
        Trees(connection).keep_blocks(head)
        connection.execute("SET LOCAL ROLE NONE")
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("UPDATE ledger.tree_blocks SET hash = %s", (bytes(32),))
        assert Trees(connection).head(head).root != root(0, SIZE)
        connection.rollback()


def test_a_tree_goes_on_from_an_anchor_and_says_what_is_archived(url: str):
    gone = BLOCK + 77
    with snapshot(url, as_owner=True) as connection:
        [head] = Record(connection).heads()
        subtrees = Trees(connection).tree(Log.DECISIONS, 0, Range(0, gone)).subtrees
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM ledger.events WHERE sequence <= %s", (gone,))
        connection.execute(
            "INSERT INTO ledger.anchors VALUES ('decisions', 0, %s, %s, %s, %s, '')",
            (gone, bytes(32), [s.level for s in subtrees], [s.hash for s in subtrees]),
        )
        trees = Trees(connection)
        trees.keep_blocks(head)
        blocks = connection.execute("SELECT number FROM ledger.tree_blocks").fetchall()
        assert blocks == []  # the only whole block left began before the anchor
        assert trees.head(head).root == root(0, SIZE)
        for leaves in inclusion_ranges(gone, SIZE):
            assert trees.tree(Log.DECISIONS, 0, leaves).root() == root(*leaves)
        with pytest.raises(InvalidValue, match="was archived"):
            trees.tree(Log.DECISIONS, 0, Range(0, gone - 2))
        connection.rollback()


def test_events_are_found_by_id(url: str):
    with snapshot(url) as connection:
        found = Record(connection).find(Log.DECISIONS, tick(5).message_id)
        assert found is not None
        assert (found.sequence, found.message) == (6, tick(5))
        assert Record(connection).find(Log.ORDERS, tick(5).message_id) is None


def test_a_server_that_is_away_is_told_in_our_words(tmp_path):
    with (
        pytest.raises(RecordUnavailable),
        snapshot(f"postgresql+psycopg://quorum@/quorum?host={tmp_path}"),
    ):
        pass


def test_a_snapshot_has_the_services_privileges_only(url: str):
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        snapshot(url) as connection,
    ):
        connection.execute("DELETE FROM ledger.events")
