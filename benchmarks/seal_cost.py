"""What it costs to tell whose a vote is, beside other ways to seal and beside decoding it."""

import hmac
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.measure import Row, alternately, median, run
from consensus.authenticity import Authenticity
from domain.messages import decode, encode
from domain.ports.bus import Delivery
from domain.ports.keys import Key
from domain.producers import Producer
from domain.seals import fits, key_id, seal, split
from domain.streams import Stream
from tests.builders import vote

_SECRET = bytes(range(32))
_VOTE = vote()
_BYTES = encode(_VOTE)
_SEALED = seal(_BYTES, _SECRET)
_KEYS = {key_id(_SECRET): Key(Producer.MARKET_ANALYST, _SECRET)}


class _Ring:
    def find(self, key_id: bytes) -> Key | None:
        return _KEYS.get(key_id)


def _each(operation: Callable[[], object], times: int) -> Callable[[], float]:
    def measured() -> float:
        began = time.process_time()
        for _ in range(times):
            operation()
        return (time.process_time() - began) / times * 1e6

    return measured


def measure() -> list[Row]:
    private = Ed25519PrivateKey.generate()
    public, signature = private.public_key(), private.sign(_BYTES)
    found, body = split(_SEALED)
    assert found is not None
    authenticity = Authenticity(_Ring())
    delivery = Delivery(stream=Stream.VOTES, partition=0, position="1-0", data=_SEALED)
    results = alternately(
        {
            "seal": _each(lambda: seal(_BYTES, _SECRET), 5000),
            "fits": _each(lambda: fits(found, body, _SECRET), 5000),
            "hmac": _each(lambda: hmac.digest(_SECRET, _BYTES, "sha256"), 5000),
            "ed25519": _each(lambda: public.verify(signature, _BYTES), 300),
            "judge": _each(lambda: authenticity.refusal(delivery, _VOTE), 5000),
            "decode": _each(lambda: decode(_SEALED), 5000),
        },
        9,
    )
    cost = {name: median(values) for name, values in results.items()}
    rows = [
        ("verify a vote's seal", "fits", "HMAC-SHA256 alone", "hmac"),
        ("verify a vote's seal", "fits", "ed25519", "ed25519"),
        ("seal a vote", "seal", "verify", "fits"),
        ("judge a vote: seal, form, place", "judge", "decode it", "decode"),
    ]
    return [
        Row(figure=figure, unit="µs CPU", ours=cost[ours], beside=beside, theirs=cost[theirs])
        for figure, ours, beside, theirs in rows
    ]


if __name__ == "__main__":
    run(measure)
