"""The form in which long events and short blocks of the journal stand in the database.

PostgreSQL compresses each value for itself; what messages have in common, their fields and the
agents' turns of phrase, it must write out in each. Zstandard (RFC 8878) with a dictionary of such
messages makes a quarter of it or less. The hash chain is over the canonical bytes, never over this
form.

A form begins with the number of its dictionary; JSON and MessagePack lists begin otherwise. A
dictionary never changes: what it made could not be read. A new one gets a new number; the last
is the one that is written with. The first two are of Deflate (RFC 1951) and are read only.
"""

import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import zstandard

#: Above it messages repeat each other, and the database's own compression costs less.
LONGEST = 32_768


_NUMBER = b"\x03"
#: Long messages are rare, and worth six times the work for a tenth of their bytes.
_LONG, _FAST, _THOROUGH = 2_500, 3, 12


def _file(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _compressor(level: int) -> zstandard.ZstdCompressor:
    dictionary = zstandard.ZstdCompressionDict(_file("stored_3.zdict"))
    dictionary.precompute_compress(level=level)
    return zstandard.ZstdCompressor(
        level,
        dict_data=dictionary,
        write_checksum=False,
        write_dict_id=False,
    )


class _Zstandard(threading.local):
    """A thread's own, made once: each can be used by one thread at a time."""

    def __init__(self) -> None:
        self.fast, self.thorough = _compressor(_FAST), _compressor(_THOROUGH)
        dictionary = zstandard.ZstdCompressionDict(_file("stored_3.zdict"))
        self.back = zstandard.ZstdDecompressor(dict_data=dictionary)


_zstandard = _Zstandard()


def stored(data: bytes, *, shortest: int) -> bytes:
    """Return what to store for `data`: a shorter form, or the bytes themselves.

    Parameters
    ----------
    shortest
        Bytes from which on a shorter form is worth its time.
    """
    if not shortest <= len(data) <= LONGEST:
        return data
    compressor = _zstandard.fast if len(data) < _LONG else _zstandard.thorough
    return _NUMBER + compressor.compress(data)


def read(found: bytes) -> bytes:
    """Return the bytes that `found` was stored for; bytes that are no such form as they are.

    So bytes that somebody damaged come out as others than were recorded, which the chain shows.
    """
    restore = _FORMS.get(found[:1])
    data = None if restore is None else restore(found[1:])
    return found if data is None else data


def _deflated(name: str, window_bits: int) -> Callable[[bytes], bytes | None]:
    dictionary = _file(name)

    def restore(form: bytes) -> bytes | None:
        decompressor = zlib.decompressobj(window_bits, dictionary)
        try:
            data = decompressor.decompress(form, LONGEST + 1)
        except zlib.error:
            return None
        return data if decompressor.eof and not decompressor.unused_data else None

    return restore


def _restored(form: bytes) -> bytes | None:
    try:
        # What damaged bytes claim to be is not reserved.
        if not 0 <= zstandard.frame_content_size(form) <= LONGEST:
            return None
        return _zstandard.back.decompress(form, allow_extra_data=False)
    except zstandard.ZstdError:
        return None


_FORMS = {
    b"\x01": _deflated("stored_1.jsonl", -14),
    b"\x02": _deflated("stored_2.bin", -15),
    _NUMBER: _restored,
}
