"""What the dictionary of stored messages is trained on is nobody's, and the same once more."""

import random

from adapters.ledger.dictionary import BYTES, nobodys, trained
from domain.messages import encode
from tests.builders import proposal

OWN = b'{"id":"798ff0fa-260c-56e2-9e9d-38525a2a9ebc","hash":"' + b"ab" * 32 + b'","price":"12.5"}'
SEAL = b"seal 3f2a91c0 ABCDEFGHIJKLMNOPQRSTUV\n"


def test_ids_hashes_and_seals_are_replaced_and_all_else_stays():
    made = nobodys(SEAL + OWN, random.Random(1))
    assert len(made) == len(SEAL + OWN)
    for secret in (b"798ff0fa", b"38525a2a9ebc", b"abababab", b"3f2a91c0", b"ABCDEFGH"):
        assert secret not in made
    assert made.startswith(b"seal ")
    assert made.endswith(b'","price":"12.5"}')


def test_the_same_messages_train_the_same_dictionary():
    messages = [encode(proposal(f"p-{n}", seconds=n)) * 2 for n in range(300)]
    first = trained(messages)
    assert len(first) <= BYTES
    assert trained(messages) == first
