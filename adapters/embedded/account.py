"""The account that servers run as: ours, or an unprivileged one when we are root."""

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from domain.errors import EnvironmentProblem

_CANDIDATES = ("quorum", "nobody")
_SEARCH_BY_OWNER, _SEARCH_BY_GROUP, _SEARCH_BY_OTHERS = 0o100, 0o010, 0o001


class Account(NamedTuple):
    """A user without privileges; PostgreSQL refuses to run as root."""

    user: int
    group: int

    def reaches(self, path: Path) -> bool:
        """Whether every folder above `path` may be searched by this account."""
        return all(self._searches(folder) for folder in path.parents)

    def _searches(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.user:
            return bool(status.st_mode & _SEARCH_BY_OWNER)
        if status.st_gid == self.group:
            return bool(status.st_mode & _SEARCH_BY_GROUP)
        return bool(status.st_mode & _SEARCH_BY_OTHERS)


def server_account() -> Account | None:
    """Return the account to give servers to, or None to run them as ourselves.

    Raises
    ------
    EnvironmentProblem
        If we are root and the machine has no unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise EnvironmentProblem(
        "PostgreSQL refuses to run as root, and this machine has no unprivileged account.",
        next_step=f"Run Quorum as a normal user, or add an account named {_CANDIDATES[0]}.",
    )
