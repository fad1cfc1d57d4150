from hypothesis import given
from hypothesis import strategies as st

from domain.messages import decode, encode
from domain.seals import fits, key_id, seal, split
from tests.builders import vote

SECRETS = st.binary(min_size=32, max_size=32)
MESSAGE = encode(vote())
SECRET = bytes(range(32))


@given(st.binary(max_size=200), SECRETS)
def test_a_seal_fits_the_bytes_it_was_made_for(message: bytes, secret: bytes):
    found, body = split(seal(message, secret))
    assert body == message
    assert found is not None
    assert found.key_id == key_id(secret)
    assert fits(found, message, secret)


@given(st.data())
def test_a_seal_fits_no_other_bytes_and_no_other_key(data: st.DataObject):
    place = data.draw(st.integers(0, len(MESSAGE) - 1))
    other = bytearray(MESSAGE)
    other[place] ^= data.draw(st.integers(1, 255))
    found, _ = split(seal(MESSAGE, SECRET))
    assert found is not None
    assert not fits(found, bytes(other), SECRET)
    assert not fits(found, MESSAGE, data.draw(SECRETS.filter(lambda s: s != SECRET)))


def test_the_form_on_the_wire_stays_as_it_is():
    assert seal(b"{}", SECRET) == b"seal fc27a341 rUVpa7_1FRdavDR75lYOwQ\n{}"


@given(st.binary(max_size=60))
def test_bytes_without_a_seal_are_the_message(data: bytes):
    found, body = split(b"{" + data)
    assert (found, body) == (None, b"{" + data)


def test_who_only_reads_a_message_needs_no_key():
    assert decode(seal(MESSAGE, SECRET)) == vote()
