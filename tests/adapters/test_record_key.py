"""The key that signs tree heads: made once, for its owner only."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.record_key import private_key, public_pem, read_public_key
from consensus.signatures import public_key_of
from domain.errors import ConfigurationError


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path):
    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(lambda _: private_key(tmp_path), range(8)))
    assert made == {private_key(tmp_path)}
    mode = (tmp_path / "keys" / "record.pem").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_key_that_others_may_read_is_refused(tmp_path: Path):
    private_key(tmp_path)
    (tmp_path / "keys" / "record.pem").chmod(0o640)
    with pytest.raises(ConfigurationError, match="others than its owner"):
        private_key(tmp_path)


@pytest.mark.parametrize("text", ["", "no key", public_pem(public_key_of(bytes(32))).decode()])
def test_a_file_without_a_private_key_is_refused(tmp_path: Path, text: str):
    private_key(tmp_path)
    (tmp_path / "keys" / "record.pem").write_text(text)
    with pytest.raises(ConfigurationError, match="no Ed25519 private key"):
        private_key(tmp_path)


def test_the_public_key_travels_as_a_file(tmp_path: Path):
    public = public_key_of(private_key(tmp_path))
    file = tmp_path / "public.pem"
    file.write_bytes(public_pem(public))
    assert read_public_key(file) == public
    assert Ed25519PublicKey.from_public_bytes(public)
    file.write_bytes(b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ConfigurationError, match="no Ed25519 public key"):
        read_public_key(file)
