"""Keys at the command line: told by their ids, changed with an overlap, secrets never shown."""

import json
from base64 import b64encode

import pytest

from adapters.keys import FolderKeyRing, KeyFolder, sealing
from consensus.authenticity import Authenticity
from domain.messages import Message
from domain.ports.bus import Delivery
from domain.producers import Producer
from domain.refusals import Refusal
from domain.settings import load_settings
from domain.streams import Stream
from orchestration.command_line.application import run
from tests.builders import vote

ANALYST = Producer.MARKET_ANALYST


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    def command(*words: str, code: int = 0) -> str:
        assert run(["keys", *words]) == code
        out, err = capsys.readouterr()
        return out + err

    return command


def refusal(data: bytes, message: Message) -> Refusal | None:
    """Judge by the keys as they are now, as a consensus does a second later."""
    ring = FolderKeyRing(KeyFolder.of(load_settings()))
    delivery = Delivery(stream=Stream.VOTES, partition=0, position="1-0", data=data)
    found = Authenticity(ring).refusal(delivery, message)
    return found.reason if found else None


def test_a_key_is_rotated_with_an_overlap_in_which_both_are_accepted(said):
    settings, message = load_settings(), vote()
    before = sealing(settings, ANALYST)(message)
    other = KeyFolder.of(settings).own(Producer.EXECUTION)
    [old, _] = json.loads(said("list", "--json"))
    assert (old["producer"], old["seals"]) == (ANALYST, True)

    told = json.loads(said("rotate", ANALYST, "--json"))
    assert told["still_accepted"] == [old["key_id"]]
    listed = json.loads(said("list", "--json"))
    uses = {k["key_id"]: k["seals"] for k in listed if k["producer"] == ANALYST}
    assert uses == {old["key_id"]: False, told["added"]: True}
    after = sealing(settings, ANALYST)(message)  # its next start
    assert told["added"].encode() in after.splitlines()[0]
    assert (refusal(before, message), refusal(after, message)) == (None, None)

    assert old["key_id"] in said("remove", ANALYST, old["key_id"])
    assert refusal(before, message) is Refusal.FORGED_VOTE
    assert refusal(after, message) is None
    assert KeyFolder.of(settings).own(Producer.EXECUTION) == other


def test_what_is_shown_names_files_and_uses_and_no_secret(said):
    folder = KeyFolder.of(load_settings())
    assert "No key was made yet." in said("list")
    assert "has a new key" in said("rotate", ANALYST)
    secrets = folder.keys(ANALYST)
    shown = said("rotate", ANALYST) + said("list") + said("list", "--json")
    secrets += folder.keys(ANALYST)
    assert "accepted" in shown
    assert str(folder.file(ANALYST)) in shown.replace("\n", "")
    assert not any(b64encode(s).decode() in shown or s.hex() in shown for s in secrets)


def test_the_only_key_and_an_unknown_one_are_not_removed(said):
    own = json.loads(said("rotate", ANALYST, "--json"))["added"]
    assert "is the only key of market_analyst" in said("remove", ANALYST, own, code=2)
    assert "has no key '00000000'" in said("remove", ANALYST, "00000000", code=2)
    assert [k["key_id"] for k in json.loads(said("list", "--json"))] == [own]
