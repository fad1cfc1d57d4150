"""Holders exclude each other: on one machine by a file, between machines by PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.model_registry.alias_lock import alias_lock
from domain.errors import RecordUnavailable

HOLDERS = 12


def counted(folders, url: str) -> int:
    """Return what unguarded read-modify-writes under the lock add up to."""
    counter = {"value": 0}

    def add(folder):
        with alias_lock("quorum-execution", folder, url):
            before = counter["value"]
            for _ in range(2_000):
                pass
            counter["value"] = before + 1

    with ThreadPoolExecutor(HOLDERS) as pool:
        list(pool.map(add, folders))
    return counter["value"]


def test_a_file_guards_one_machine(tmp_path):
    assert counted([tmp_path] * HOLDERS, "") == HOLDERS


def test_postgresql_guards_machines_that_share_no_folder(tmp_path, ledger_url):
    assert counted([tmp_path / str(i) for i in range(HOLDERS)], ledger_url) == HOLDERS


def test_a_ledger_that_does_not_answer_moves_nothing(tmp_path):
    nowhere = f"postgresql+psycopg://quorum@/quorum?host={tmp_path}"
    with pytest.raises(RecordUnavailable, match="lock on quorum-execution"):
        counted([tmp_path], nowhere)
