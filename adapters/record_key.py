"""Ed25519 keys, such as the one that signs tree heads: PEM files that only their owner reads."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.files import write_atomically
from adapters.locks import owned_lock
from domain.errors import ConfigurationError

_PRIVATE_FILE = 0o600
_OF_OTHERS = 0o077
_PATIENCE_SECONDS = 10.0


def private_key(home: Path) -> bytes:
    """Return the 32 bytes of the record's key; the first call in a state folder makes it.

    Raises
    ------
    ConfigurationError
        As `signing_key`.
    """
    return signing_key(home / "keys" / "record.pem")


def signing_key(path: Path) -> bytes:
    """Return the 32 bytes of the private key in a PEM file; the first call makes it.

    Raises
    ------
    ConfigurationError
        If the file holds no such key, or others may read it.
    """
    if not path.exists():
        with owned_lock(
            path.with_name(f".{path.stem}.lock"),
            patience_seconds=_PATIENCE_SECONDS,
            purpose=f"making {path.name}",
        ):
            if not path.exists():
                _make(path)
    if path.stat().st_mode & _OF_OTHERS:
        raise _unusable(path, "others than its owner may read it", f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "it is no Ed25519 private key", "Restore it from a copy.")
    return key.private_bytes_raw()


def public_pem(public: bytes) -> bytes:
    """Return a public key as a PEM file holds it."""
    return Ed25519PublicKey.from_public_bytes(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def read_public_key(path: Path) -> bytes:
    """Return the key of a PEM file.

    Raises
    ------
    ConfigurationError
        If it holds no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(
            path, "it is no Ed25519 public key", "`quorum audit key --output FILE` writes it."
        )
    return key.public_bytes_raw()


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomically(path, pem, mode=_PRIVATE_FILE)


def _unusable(path: Path, why: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} can't be used: {why}.", kept="The file is untouched.", next_step=next_step
    )
