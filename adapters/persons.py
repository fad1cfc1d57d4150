"""The persons who may answer manual reviews, known by their tokens.

They stand in one file of the state folder that only its owner reads. A token is 256 random bits
and shown once; the file holds its SHA-256, which is enough where there is nothing to guess.
"""

import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

import msgspec

from adapters.files import write_atomically
from adapters.locks import owned_lock
from domain.errors import ConfigurationError, Conflict, NotAuthenticated, NotOnRecord
from domain.messages import Value, encode, set_field
from domain.money import not_negative
from domain.review import actor_name

_TOKEN_PREFIX = "quorum_"  # noqa: S105 - what secret scanners recognise our tokens by
_TOKEN_BYTES = 32
_PATIENCE_SECONDS = 10.0


class Person(Value, frozen=True, kw_only=True):
    """Who may answer reviews.

    Parameters
    ----------
    token_hash
        SHA-256 of the token, in hexadecimal.
    approval_limit
        Value of a trade, in the account's currency, up to which this person may approve;
        absent: without limit. Anybody may reject.
    """

    name: str
    token_hash: str
    approval_limit: Decimal | None = None
    added_at: datetime

    def __post_init__(self) -> None:
        set_field(self, "name", actor_name(self.name))
        if self.approval_limit is not None:
            limit = not_negative(self.approval_limit, "approval_limit")
            set_field(self, "approval_limit", limit)


class Persons:
    """The persons of a state folder; the file is read again for every question.

    Parameters
    ----------
    home
        The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "review-persons.json"

    def all(self) -> Sequence[Person]:
        """Return everybody, by name.

        Raises
        ------
        ConfigurationError
            If the file can't be read, or others than its owner may read or change it.
        """
        try:
            data = self._path.read_bytes()
            others = self._path.stat().st_mode & 0o077
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise self._unusable(f"can't be read: {problem.strerror}") from None
        if others:
            raise self._unusable("is open to others than its owner")
        try:
            return msgspec.json.decode(data, type=tuple[Person, ...])
        except msgspec.DecodeError as problem:
            raise self._unusable(f"is damaged: {problem}") from None

    def authenticate(self, token: str) -> Person:
        """Return whose token it is.

        Raises
        ------
        NotAuthenticated
            If it is nobody's.
        """
        presented, found = _hashed(token), None
        for person in self.all():  # every one is compared, so the time tells nothing
            if compare_digest(person.token_hash, presented):
                found = person
        if found is None:
            raise NotAuthenticated(
                "This token is not known here." if token else "No token was given.",
                next_step="Give the token that `quorum review add-person` printed, as "
                "`Authorization: Bearer …` over HTTP, as QUORUM_REVIEW_TOKEN at the command line.",
            )
        return found

    def add(self, name: str, approval_limit: Decimal | None = None) -> str:
        """Add a person and return the token, which is kept nowhere.

        Raises
        ------
        Conflict
            If the name is taken.
        InvalidValue
            If it can't be a name.
        """
        token = _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        person = Person(
            name=name,
            token_hash=_hashed(token),
            approval_limit=approval_limit,
            added_at=datetime.now(UTC),
        )
        with self._alone():
            present = self.all()
            if any(other.name == name for other in present):
                raise Conflict(
                    f"There is a person {name} already.",
                    next_step=f"Take another name, or `quorum review remove-person {name}` first.",
                )
            self._write([*present, person])
        return token

    def remove(self, name: str) -> None:
        """Remove a person; the token is worth nothing from now on, past answers stay on record.

        Raises
        ------
        NotOnRecord
            If there is none of that name.
        """
        with self._alone():
            present = self.all()
            left = [person for person in present if person.name != name]
            if len(left) == len(present):
                raise NotOnRecord(
                    f"There is no person {name!r:.80}.", next_step="`quorum review persons` lists."
                )
            self._write(left)

    def _write(self, persons: Sequence[Person]) -> None:
        ordered = sorted(persons, key=lambda person: person.name)
        lines = b",\n".join(map(encode, ordered))
        write_atomically(self._path, b"[\n" + lines + b"\n]\n", mode=0o600)

    def _alone(self) -> AbstractContextManager[None]:
        """Keep other commands from changing the file meanwhile."""
        return owned_lock(
            self._path.with_suffix(".lock"),
            patience_seconds=_PATIENCE_SECONDS,
            purpose="changing the persons",
        )

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._path} {why}.",
            kept="Nobody is let in by it.",
            next_step=f"Mend it: chmod 600 {self._path}; or remove it and add the persons again.",
        )


def _hashed(token: str) -> str:
    return sha256(token.encode(errors="surrogateescape")).hexdigest()
