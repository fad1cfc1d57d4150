import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.embedded import places
from adapters.embedded.account import Account, server_account
from adapters.embedded.places import prepare_places
from domain.errors import EnvironmentProblem

STRANGER = Account(user=os.geteuid() + 54_321, group=os.getegid() + 54_321)


@pytest.fixture
def given_away(monkeypatch) -> dict[Path, tuple[int, int]]:
    """Folders that were given to another account; only root could really do so."""
    given: dict[Path, tuple[int, int]] = {}
    monkeypatch.setattr(os, "chown", lambda path, *owner: given.update({path: owner}))
    return given


def test_everything_lies_below_home_and_is_private(home: Path) -> None:
    found = prepare_places(home, None)
    assert found.state == home / "servers" / "state"
    assert found.sockets == found.state / "run"
    for folder in (home, found.control, found.state, found.sockets):
        assert folder.stat().st_mode & 0o077 == 0
    assert prepare_places(home, None) == found


def test_an_account_that_reaches_home_gets_its_own_folder_there(home: Path, given_away) -> None:
    found = prepare_places(home, STRANGER)
    assert found.state == home / "servers" / "state"
    assert given_away == {found.state: STRANGER, found.sockets: STRANGER}
    assert home.stat().st_mode & 0o077 == 0o011


def test_an_account_that_can_not_reach_home_gets_a_folder_elsewhere(
    home: Path, given_away, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(places, "_SYSTEM_STATE", home.parent / "system")
    hidden = home / "hidden"
    hidden.mkdir(parents=True, mode=0o700)
    found = prepare_places(hidden / "state", STRANGER)
    assert found.state.parent == home.parent / "system"
    assert found.sockets == found.state / "run"
    assert (hidden / "state" / "servers" / "state").readlink() == found.state
    assert str(found.state) in caplog.text
    assert hidden.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(found.state)
    assert prepare_places(hidden / "state", STRANGER) == found


def test_a_folder_that_was_closed_later_is_told(home: Path, given_away) -> None:
    prepare_places(home, STRANGER)
    home.chmod(0o700)
    with pytest.raises(EnvironmentProblem, match="can't be reached any more"):
        prepare_places(home, STRANGER)


def test_a_folder_that_is_not_writable_is_told(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(EnvironmentProblem, match=r"not writable: Not a directory|File exists"):
        prepare_places(home, None)


def test_a_nearly_full_disk_is_told(home: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=199_000_000))
    with pytest.raises(EnvironmentProblem, match="nearly full: 199 MB are free"):
        prepare_places(home, None)


def test_a_planted_folder_is_refused(home: Path, tmp_path: Path) -> None:
    found = prepare_places(home, None)
    found.sockets.rmdir()
    found.sockets.symlink_to(tmp_path)
    with pytest.raises(EnvironmentProblem, match="belongs to somebody else"):
        prepare_places(home, None)


def test_root_gives_the_servers_to_somebody_without_privileges(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_account() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = server_account()
    assert account is not None
    assert account.user != 0
