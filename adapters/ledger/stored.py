"""The form in which long events and short blocks of the journal stand in the database.

PostgreSQL compresses each value for itself; what messages have in common, their fields and the
agents' turns of phrase, it must write out in each. Deflate (RFC 1951) with a dictionary of such
messages makes a third of it. The hash chain is over the canonical bytes, never over this form.

A form begins with the number of its dictionary; JSON and MessagePack lists begin otherwise. A
dictionary never changes: what it made could not be read. A new one gets a new number.
"""

import zlib
from pathlib import Path

#: Above it messages repeat each other, and the database's own compression costs less.
LONGEST = 32_768

_NUMBER = b"\x01"
_DICTIONARY = Path(__file__).with_name("stored_1.jsonl").read_bytes()
_WINDOW_BITS, _MEMORY_LEVEL, _LEVEL = -14, 7, 6
_empty = zlib.compressobj(
    _LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY
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
    if found[:1] != _NUMBER:
        return found
    decompressor = zlib.decompressobj(_WINDOW_BITS, _DICTIONARY)
    try:
        data = decompressor.decompress(found[1:], LONGEST + 1)
    except zlib.error:
        return found
    return data if decompressor.eof and not decompressor.unused_data else found
