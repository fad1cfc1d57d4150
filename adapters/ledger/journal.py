"""The journal's form on disk: the inputs of one commit as one block.

A row for each input would cost more bytes than the decisions themselves. Short blocks, of a quiet
market, are compressed here (`adapters.ledger.stored`), long ones by PostgreSQL.
"""

from collections.abc import Iterable, Sequence

import msgspec

from adapters.ledger.stored import read, stored
from domain.ports.bus import Delivery
from domain.ports.ledger import Input
from domain.streams import Stream

_Entry = tuple[str, int, str, bytes]

_SHORTEST = 200  # bytes, of a block that is worth compressing

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Entry])


def pack(inputs: Iterable[Delivery]) -> bytes:
    """Return inputs as a block: MessagePack lists of stream, partition, position and bytes."""
    block = _encoder.encode([(d.stream, d.partition, d.position, d.data) for d in inputs])
    return stored(block, shortest=_SHORTEST)


def unpack(last: int, block: bytes) -> Sequence[Input]:
    """Return the inputs of a block whose last one is number `last`."""
    entries = _decoder.decode(read(block))
    return [
        Input(number=number, stream=Stream(stream), partition=partition, position=at, data=data)
        for number, (stream, partition, at, data) in enumerate(entries, last - len(entries) + 1)
    ]
