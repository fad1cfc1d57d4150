"""The stored form: shorter, read back to the byte, and never a way around the chain."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from adapters.ledger import stored as form
from adapters.ledger.stored import LONGEST, read, stored

FOLDER = Path(form.__file__).parent
SAMPLES = (FOLDER / "stored_1.jsonl").read_bytes()
#: A decision like the dictionary's, with every digit another.
DECISION = SAMPLES.splitlines()[-1].translate(bytes.maketrans(b"0123456789", b"3957028461"))


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("stored_1.jsonl", "9c592976f9da586ca1486715c1fb935fc59b5096fa936b83eb1d5c8bbba54848"),
        ("stored_2.bin", "d95b1d94be12de047325b042c045595faebc53987229bfe75bee7725afec5434"),
        ("stored_3.zdict", "750ff424dd7c47b194b9e650b834dca122c7d5d4e161b90e948ea2eb486b352e"),
    ],
)
def test_a_dictionary_is_the_one_that_made_what_is_on_record(name: str, digest: str):
    assert sha256((FOLDER / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("number", "name", "window_bits"),
    [(b"\x01", "stored_1.jsonl", -14), (b"\x02", "stored_2.bin", -15)],
)
def test_what_earlier_dictionaries_made_is_read(number: bytes, name: str, window_bits: int):
    compressor = zlib.compressobj(
        6, zlib.DEFLATED, window_bits, 7, zlib.Z_DEFAULT_STRATEGY, (FOLDER / name).read_bytes()
    )
    kept = number + compressor.compress(DECISION) + compressor.flush()
    assert read(kept) == DECISION
    assert stored(DECISION, shortest=1)[:1] == b"\x03"


@given(st.binary(max_size=200), st.integers(0, 400))
def test_what_is_stored_is_read_back(part: bytes, times: int):
    data = b"{" + part * times
    kept = stored(data, shortest=500)
    assert read(kept) == data
    if not 500 <= len(data) <= LONGEST:
        assert kept == data


@given(st.binary(max_size=50))
def test_bytes_that_nobody_stored_are_read_without_a_fault_and_in_bounds(noise: bytes):
    assert len(read(b"\x01" + noise)) <= LONGEST + 1
    assert len(read(b"\x02" + noise)) <= LONGEST + 1
    assert len(read(b"\x03" + noise)) <= LONGEST


@pytest.mark.parametrize("told", [True, False])
def test_a_few_bytes_that_would_fill_the_memory_are_not_believed(told):
    bomb = zstandard.ZstdCompressor(write_content_size=told).compress(bytes(50_000_000))
    assert len(bomb) < 5_000
    assert read(b"\x03" + bomb) == b"\x03" + bomb


def test_threads_read_and_write_beside_each_other():
    parts = [DECISION[n:] for n in range(400)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda part: read(stored(part, shortest=1)), parts)) == parts


def test_a_decision_that_says_much_is_stored_in_a_quarter():
    assert len(stored(DECISION, shortest=1)) < 0.25 * len(DECISION)


@pytest.mark.parametrize("at", [1, 2, 20, -2])
def test_a_changed_byte_never_reads_as_what_was_recorded(at: int):
    kept = bytearray(stored(DECISION, shortest=1))
    kept[at] ^= 1
    assert read(bytes(kept)) != DECISION
    assert read(stored(DECISION, shortest=1)[:-1]) != DECISION
    assert read(stored(DECISION, shortest=1) + b"x") != DECISION
