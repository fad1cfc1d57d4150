"""Train a dictionary for the form in which messages are stored (`adapters.ledger.stored`).

``python -m adapters.ledger.dictionary URL… > adapters/ledger/stored_N.zdict`` learns from what the
ledgers at the URLs hold: events and blocks of the journal. Ids, hashes and seals are replaced by
random ones first, so that nobody's stands in it. The one in use was trained on
``quorum demo --days 120 --seed 3``, and on a hundred decisions of agents that give no reasons.
"""

import random
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import zstandard
from sqlalchemy import Engine, create_engine, text

from adapters.ledger.stored import LONGEST, read

BYTES, LEVEL = 32_768, 9
_SEED = 1
_SHORTEST = 400
_DIGITS = b"0123456789abcdef"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SEAL = rb"(?<=seal )[0-9a-f]{8} [\w-]{22}"
_SOMEBODYS = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|" + _SEAL)


def nobodys(message: bytes, chance: random.Random) -> bytes:
    """Return the message with random ids, hashes and seals in place of its own."""

    def replaced(found: re.Match[bytes]) -> bytes:
        own = found.group()
        letters = _LETTERS if b" " in own else _DIGITS
        return bytes(c if c in b"- " else chance.choice(letters) for c in own)

    return _SOMEBODYS.sub(replaced, message)


def trained(messages: Iterable[bytes]) -> bytes:
    """Return the dictionary that these messages teach; the same for the same ones."""
    chance = random.Random(_SEED)  # noqa: S311 - nothing secret
    samples: list[Any] = [nobodys(message, chance) for message in messages]
    return zstandard.train_dictionary(BYTES, samples, level=LEVEL).as_bytes()


def _kept(engine: Engine) -> Iterator[bytes]:
    columns = ("events", "log, partition, sequence"), ("input_blocks", "log, partition, first")
    with engine.connect() as connection:
        for table, order in columns:
            query = text(f"SELECT data FROM ledger.{table} ORDER BY {order}")  # noqa: S608
            for (data,) in connection.execute(query):
                message = read(bytes(data))
                if _SHORTEST <= len(message) <= LONGEST:
                    yield message


if __name__ == "__main__":
    found = (message for url in sys.argv[1:] for message in _kept(create_engine(url)))
    sys.stdout.buffer.write(trained(found))
