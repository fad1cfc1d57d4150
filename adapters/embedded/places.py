"""Where the embedded servers keep what: data, sockets, records, logs.

Below the state folder `home`::

    servers/lock, holders/, <server>.json   who uses the servers, which processes they are
    servers/state                           the servers' own folder, or a link to it
    servers/sockets                         a link to a short folder, where paths are too long
    logs/<server>.log

The servers' own folder lies elsewhere when we are root and the unprivileged account can't reach
`home`: nobody's folders are opened for it.
"""

import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from adapters.embedded.account import Account
from domain.errors import EnvironmentProblem

_LEAST_FREE_BYTES = 200_000_000
_SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103
_LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
_SYSTEM_STATE = Path("/var/lib/quorum")
_PRIVATE, _SEARCHABLE, _PRIVATE_FILE = 0o700, 0o711, 0o600

_log = logging.getLogger(__name__)


class Places(NamedTuple):
    """The folders of one set of servers."""

    control: Path
    state: Path
    sockets: Path
    logs: Path
    account: Account | None

    @property
    def holders(self) -> Path:
        """One file for each process that uses the servers."""
        return self.control / "holders"

    def give_to_account(self, folder: Path) -> Path:
        """Make `folder` private to whoever runs the servers, and return it."""
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        _own(folder, self.account)
        return folder

    def give_file_to_account(self, file: Path) -> None:
        """Make `file` private to whoever runs the servers."""
        file.chmod(_PRIVATE_FILE)
        if self.account is not None:
            os.chown(file, self.account.user, self.account.group)


def prepare_places(home: Path, account: Account | None) -> Places:
    """Make the folders below `home` and return them.

    Raises
    ------
    EnvironmentProblem
        If the folder is not writable, or its disk is nearly full.
    """
    home = home.absolute()
    control = home / "servers"
    try:
        if not home.exists():
            home.mkdir(parents=True)
            home.chmod(_PRIVATE if account is None else _SEARCHABLE)
        (control / "holders").mkdir(parents=True, exist_ok=True)
        control.chmod(_PRIVATE if account is None else _SEARCHABLE)
        (home / "logs").mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=control):
            pass
    except OSError as problem:
        raise EnvironmentProblem(
            f"The state folder {home} is not writable: {problem.strerror}.",
            next_step="Set QUORUM_HOME to a folder that you may write to.",
        ) from None
    state = _state_folder(control, account)
    for folder in (home, state):
        _demand_space(folder)
    return Places(control, state, _socket_folder(control, state, account), home / "logs", account)


def _state_folder(control: Path, account: Account | None) -> Path:
    """Return the servers' own folder: below `control`, or where the account can reach it."""
    here = control / "state"
    if account is None or (not here.is_symlink() and account.reaches(here)):
        return _private_folder(here, account)
    if here.is_dir() and not here.is_symlink():
        raise EnvironmentProblem(
            f"The servers' data in {here} can't be reached any more by their account "
            f"(uid {account.user}).",
            kept="The data is untouched.",
            next_step=f"Make the folders above it searchable again (chmod o+x {control.parent}).",
        )
    elsewhere = here.readlink() if here.is_symlink() else _reachable_folder(control, account)
    if not here.is_symlink():
        here.symlink_to(elsewhere)
        _log.warning(
            "The servers' account (uid %d) can't reach %s; their data is kept in %s.",
            account.user,
            control,
            elsewhere,
        )
    elsewhere.parent.mkdir(parents=True, exist_ok=True)
    return _private_folder(elsewhere, account)


def _reachable_folder(control: Path, account: Account) -> Path:
    for parent in (_SYSTEM_STATE, *_temporary_folders()):
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        folder = parent / f"quorum-{_fingerprint(control)}"
        if account.reaches(folder):
            return folder
    raise EnvironmentProblem(
        f"No folder can be reached by the servers' account (uid {account.user}).",
        next_step="Set QUORUM_HOME to a folder that is searchable for everyone, such as "
        f"{_SYSTEM_STATE}, or run Quorum as a normal user.",
    )


def _socket_folder(control: Path, state: Path, account: Account | None) -> Path:
    """Return a folder whose sockets have paths that the system accepts."""
    link = control / "sockets"
    if link.is_symlink():
        return _private_folder(link.readlink(), account)
    if _short_enough(state / "run"):
        return _private_folder(state / "run", account)
    for parent in _temporary_folders():
        folder = parent / f"quorum-{os.geteuid()}-{_fingerprint(control)}"
        if _short_enough(folder) and (account is None or account.reaches(folder)):
            _private_folder(folder, account)
            link.symlink_to(folder)
            return folder
    raise EnvironmentProblem(
        f"No folder with a path short enough for a socket was found for {control}.",
        next_step="Set QUORUM_HOME to a folder with a shorter path.",
    )


def _temporary_folders() -> Iterable[Path]:
    return dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp")))  # noqa: S108 - made private


def _short_enough(folder: Path) -> bool:
    return len(os.fsencode(folder / _LONGEST_SOCKET_NAME)) <= _SOCKET_PATH_BYTES


def _fingerprint(control: Path) -> str:
    return sha256(os.fsencode(control.resolve())).hexdigest()[:12]


def _private_folder(folder: Path, account: Account | None) -> Path:
    """Make a folder that only the servers' account enters; refuse one that somebody planted."""
    try:
        folder.mkdir(mode=_PRIVATE)
    except FileExistsError:
        status = folder.lstat()
        owners = {os.geteuid()} | ({account.user} if account else set())
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
            raise EnvironmentProblem(
                f"{folder} exists and belongs to somebody else (uid {status.st_uid}).",
                next_step="Remove it, or set QUORUM_HOME to another folder.",
            ) from None
    _own(folder, account)
    return folder


def _own(folder: Path, account: Account | None) -> None:
    folder.chmod(_PRIVATE)
    if account is not None:
        os.chown(folder, account.user, account.group)


def _demand_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE_BYTES:
        raise EnvironmentProblem(
            f"The disk of {folder} is nearly full: {free // 1_000_000} MB are free, "
            f"{_LEAST_FREE_BYTES // 1_000_000} MB are needed.",
            kept="No server was started; existing data is untouched.",
            next_step="Free some space, or set QUORUM_HOME to a folder on another disk.",
        )
