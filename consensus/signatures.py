"""Ed25519 signatures (RFC 8032), each for one purpose only."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def signature(purpose: str, data: bytes, private_key: bytes) -> bytes:
    """Return the signature of bytes; it is none for another purpose.

    Parameters
    ----------
    private_key
        The key's 32 bytes.
    """
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(_signed(purpose, data))


def is_signature(purpose: str, data: bytes, signed: bytes, public_key: bytes) -> bool:
    """Whether the owner of the public key signed those bytes for that purpose."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed, _signed(purpose, data))
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key_of(private_key: bytes) -> bytes:
    """Return the 32 bytes by which everybody can check what the private key signed."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def _signed(purpose: str, data: bytes) -> bytes:
    return purpose.encode() + b"\n" + data
