"""Signatures of model versions: who registered these hashes, under this number, of this agent.

A manifest's hashes show that files were altered, not that somebody else wrote all of them. So a
version is signed (Ed25519, RFC 8032) with all that never changes of it: agent, number, lineage
and the SHA-256 of every file, the manifest's too. Who serves needs the public key only.
"""

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.files import write_atomically
from adapters.record_key import public_pem, read_public_key, signing_key
from domain.errors import ModelRefused
from domain.messages import encode
from domain.models import DeploymentStatus, ModelVersion
from domain.settings import Settings

_PURPOSE = b"quorum model version\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ModelKeys:
    """The registry's key pair: ``models.pem`` signs, ``models.public.pem`` checks.

    Parameters
    ----------
    folder
        Where they are; the first signature makes them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, settings: Settings) -> "ModelKeys":
        """Return the keys in the folder that the settings name."""
        return cls(settings.keys_folder or settings.home / "keys")

    def sign(self, version: ModelVersion) -> ModelVersion:
        """Return the version with the signature that it is checked by.

        Raises
        ------
        ConfigurationError
            If the key file can't be used.
        """
        key = Ed25519PrivateKey.from_private_bytes(signing_key(self._folder / "models.pem"))
        public = self._folder / "models.public.pem"
        if not public.exists():
            write_atomically(public, public_pem(key.public_key().public_bytes_raw()))
        return msgspec.structs.replace(version, signature=key.sign(_signed(version)).hex())

    def check(self, version: ModelVersion) -> None:
        """Refuse (`ModelRefused`) a version that the owner of the key did not sign."""
        try:
            self._public.verify(bytes.fromhex(version.signature), _signed(version))
        except FileNotFoundError:
            raise _refused(version, f"there is no {self._folder}/models.public.pem") from None
        except (InvalidSignature, ValueError):
            raise _refused(version, "its signature is wrong") from None

    @cached_property
    def _public(self) -> Ed25519PublicKey:
        path = self._folder / "models.public.pem"
        return Ed25519PublicKey.from_public_bytes(read_public_key(path))


def _signed(version: ModelVersion) -> bytes:
    """Return what is signed: what a version is for ever, not where it stands."""
    return _PURPOSE + encode(
        msgspec.structs.replace(
            version,
            signature="",
            deployment_status=DeploymentStatus.REGISTERED,
            created_at=_EPOCH,
        )
    )


def _refused(version: ModelVersion, what: str) -> ModelRefused:
    return ModelRefused(
        f"{version.label} is refused: {what}.",
        kept="The versions that are registered and served are as they were.",
        next_step="Fetch it from the registry again, with the public key of who registered it.",
    )
