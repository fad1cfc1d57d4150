"""Persons and their tokens."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.persons import Persons
from domain.errors import (
    ConfigurationError,
    Conflict,
    InvalidValue,
    NotAuthenticated,
    NotOnRecord,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "review-persons.json"


@pytest.fixture
def persons(tmp_path: Path) -> Persons:
    return Persons(tmp_path)


def test_a_token_says_who_it_is_and_is_kept_nowhere(persons: Persons, file: Path):
    ada, bob = persons.add("ada", Decimal("50000.0")), persons.add("bob")
    assert persons.authenticate(ada).name == "ada"
    assert persons.authenticate(ada).approval_limit == 50_000
    assert persons.authenticate(bob).approval_limit is None
    assert ada != bob
    assert len(ada) > 43  # 256 bits
    kept = file.read_text()
    assert ada not in kept
    assert ada.removeprefix("quorum_") not in kept


@pytest.mark.parametrize("token", ["", "x", "quorum_", "ä" * 50, "\udcff", "a\x00b", "x" * 10**6])
def test_any_other_token_is_nobodys(persons: Persons, token: str):
    persons.add("ada")
    with pytest.raises(NotAuthenticated) as refusal:
        persons.authenticate(token)
    if len(token) > 10:
        assert token[:10] not in str(refusal.value)


def test_without_persons_nobody_is_let_in(persons: Persons):
    with pytest.raises(NotAuthenticated):
        persons.authenticate("")


def test_only_the_owner_reads_the_file(persons: Persons, file: Path):
    token = persons.add("ada")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="open to others"):
        persons.authenticate(token)


def test_a_damaged_file_lets_nobody_in(persons: Persons, file: Path):
    token = persons.add("ada")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match="is damaged"):
        persons.authenticate(token)


def test_a_name_is_one_person(persons: Persons):
    persons.add("ada")
    with pytest.raises(Conflict):
        persons.add("ada")
    for name in ("Ada", "a da", "", "../ada", "ada\n"):
        with pytest.raises(InvalidValue):
            persons.add(name)
    assert [person.name for person in persons.all()] == ["ada"]


def test_who_is_removed_is_out(persons: Persons):
    token = persons.add("ada")
    persons.remove("ada")
    with pytest.raises(NotAuthenticated):
        persons.authenticate(token)
    with pytest.raises(NotOnRecord):
        persons.remove("ada")


def test_persons_who_are_added_at_once_are_all_there(persons: Persons):
    names = [f"p{number:02}" for number in range(16)]
    with ThreadPoolExecutor(8) as commands:
        tokens = list(commands.map(persons.add, names))
    assert [person.name for person in persons.all()] == names
    assert [persons.authenticate(token).name for token in tokens] == names
