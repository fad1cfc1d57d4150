"""The form in which long events and short blocks of the journal stand in the database.

PostgreSQL compresses each value for itself; what messages have in common, their fields and the
agents' turns of phrase, it must write out in each. Deflate (RFC 1951) with a dictionary of such
messages makes a third of it. The hash chain is over the canonical bytes, never over this form.

A form begins with the number of its dictionary; JSON and MessagePack lists begin otherwise. A
dictionary never changes: what it made could not be read. A new one gets a new number; the last
is the one that is written with. The second holds messages as they stand in the record by now, and
blocks of the journal, with keys, models and seals of nobody.
"""

import zlib
from pathlib import Path
from typing import NamedTuple

#: Above it messages repeat each other, and the database's own compression costs less.
LONGEST = 32_768


class _Form(NamedTuple):
    """How a number's bytes are made, and read."""

    dictionary: bytes
    window_bits: int
    memory_level: int
    level: int


def _form(name: str, **how: int) -> _Form:
    return _Form(dictionary=Path(__file__).with_name(name).read_bytes(), **how)


_FORMS = {
    b"\x01": _form("stored_1.jsonl", window_bits=-14, memory_level=7, level=6),
    b"\x02": _form("stored_2.bin", window_bits=-15, memory_level=8, level=7),
}
_NUMBER, _newest = list(_FORMS.items())[-1]
_empty = zlib.compressobj(
    _newest.level,
    zlib.DEFLATED,
    _newest.window_bits,
    _newest.memory_level,
    zlib.Z_DEFAULT_STRATEGY,
    _newest.dictionary,
)


def stored(data: bytes, *, shortest: int) -> bytes:
    """Return what to store for `data`: a shorter form, or the bytes themselves.

    Parameters
    ----------
    shortest
        Bytes from which on a shorter form is worth its time.
    """
    if not shortest <= len(data) <= LONGEST:
        return data
    compressor = _empty.copy()  # costs less than to take the dictionary in
    return b"".join([_NUMBER, compressor.compress(data), compressor.flush()])


def read(found: bytes) -> bytes:
    """Return the bytes that `found` was stored for; bytes that are no such form as they are.

    So bytes that somebody damaged come out as others than were recorded, which the chain shows.
    """
    form = _FORMS.get(found[:1])
    if form is None:
        return found
    decompressor = zlib.decompressobj(form.window_bits, form.dictionary)
    try:
        data = decompressor.decompress(found[1:], LONGEST + 1)
    except zlib.error:
        return found
    return data if decompressor.eof and not decompressor.unused_data else found
