import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from adapters.keys import FolderKeyRing, KeyFolder, sealing
from domain.errors import ConfigurationError, EnvironmentProblem
from domain.producers import Producer
from domain.seals import fits, key_id, split
from domain.settings import Settings
from tests.builders import vote

ANALYST = Producer.MARKET_ANALYST


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


def own(path: Path) -> bytes:
    return KeyFolder(path).own(ANALYST)


def test_a_first_key_is_made_private_and_kept(folder: KeyFolder):
    secret = folder.own(ANALYST)
    assert len(secret) == 32
    assert folder.own(ANALYST) == secret
    assert folder.own(Producer.EXECUTION) != secret
    assert folder.file(ANALYST).stat().st_mode & 0o777 == 0o600
    assert folder.file(ANALYST).parent.stat().st_mode & 0o777 == 0o700
    assert {p.name for p in folder.file(ANALYST).parent.iterdir()} == {
        "market_analyst.keys",
        "execution.keys",
    }


def test_of_many_who_make_the_first_key_one_does(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as processes:
        assert len(set(processes.map(own, [tmp_path / "keys"] * 8))) == 1


def test_a_key_is_changed_without_a_gap_and_then_removed(folder: KeyFolder, monkeypatch):
    old = folder.own(ANALYST)
    ring = FolderKeyRing(folder)
    new = folder.add(ANALYST)
    assert folder.own(ANALYST) == new
    assert ring.find(key_id(new)) == (ANALYST, new)
    assert ring.find(key_id(old)) == (ANALYST, old)
    assert folder.remove(ANALYST, key_id(old).decode())
    assert not folder.remove(ANALYST, key_id(old).decode())
    monkeypatch.setattr("adapters.keys._SECONDS_BETWEEN_LOOKS", 0.0)
    ring._look_again = 0.0  # a second later
    assert ring.find(key_id(old)) is None
    with pytest.raises(ConfigurationError, match="is the only key of market_analyst"):
        folder.remove(ANALYST, key_id(new).decode())


def test_a_key_that_is_made_later_is_known_at_once(folder: KeyFolder):
    ring = FolderKeyRing(folder)
    assert ring.find(b"00000000") is None
    secret = folder.own(Producer.CONSENSUS)
    assert ring.find(key_id(secret)) == (Producer.CONSENSUS, secret)


def test_a_file_that_others_may_read_is_refused(folder: KeyFolder):
    folder.own(ANALYST)
    folder.file(ANALYST).chmod(0o640)
    with pytest.raises(ConfigurationError, match="others than its owner may read it"):
        folder.own(ANALYST)


@pytest.mark.parametrize("text", ["nonsense", "aa bb cc", "x !!!", "x c2hvcnQ="])
def test_a_file_that_holds_no_keys_is_refused_and_later_ones_change_nothing(
    folder: KeyFolder, text: str
):
    secret = folder.own(ANALYST)
    ring = FolderKeyRing(folder)
    folder.file(ANALYST).write_text(text)
    with pytest.raises(ConfigurationError, match="The file is untouched"):
        FolderKeyRing(folder)
    assert ring.find(b"00000000") is None
    assert ring.find(key_id(secret)) == (ANALYST, secret)


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="Not a directory"):
        KeyFolder(tmp_path / "file").own(ANALYST)
    with pytest.raises(EnvironmentProblem, match="can't be kept"):
        KeyFolder(Path("/proc/keys-of-quorum")).own(ANALYST)


def test_what_is_published_bears_the_seal_of_the_settings_key(tmp_path: Path):
    settings = Settings(keys_folder=tmp_path / "secrets")
    found, body = split(sealing(settings, ANALYST)(vote()))
    assert found is not None
    assert fits(found, body, KeyFolder(tmp_path / "secrets").own(ANALYST))
