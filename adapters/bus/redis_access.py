"""Who may do what on a Redis or Valkey server: its access list, made from `domain.producers`.

``python -m adapters.bus.redis_access > deploy/valkey/users.acl`` writes the list of the services
profile. Nobody in it has a password yet, so nobody can log in until one is set.
"""

import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256

from domain.producers import READS, TRIMS, WRITES, Producer
from domain.streams import Stream

OWNER = "owner"
"""May do everything; starts and tests the server."""

_ANYONE = "+ping +select +client|setinfo +client|setname"
_LOOK = "+exists +xlen +xrange +xread +xinfo|stream +xinfo|groups"
_CONSUME = "+xreadgroup +xack +xautoclaim +xpending +xgroup|create"
#: Of who keeps its own positions, on record: its group only shows where that is.
_FOLLOW = "+eval +evalsha +xgroup|setid +xgroup|destroy"
_ADD = "+xadd +eval +evalsha +exists +xlen +xinfo|stream"
_CACHE = {
    Producer.PROJECTIONS: "+hget +hmget +hset +pexpire +eval +evalsha +script|load",
    Producer.OPERATOR: "+hmget",
}
_TRIM = "+exists +xinfo|stream +xinfo|groups +xpending +xtrim"


def user(producer: Producer, password: str | None) -> str:
    """Return the line of one producer; without a password nobody can log in as it."""
    rights = [f"-@all {_ANYONE}"]
    follows = f" {_FOLLOW}" if producer in TRIMS else ""
    for commands, streams in (
        (f"{_LOOK} {_CONSUME}{follows}", READS[producer]),
        (_ADD, WRITES[producer]),
        (_TRIM, TRIMS.get(producer, frozenset[Stream]())),
    ):
        if streams:
            rights.append(f"({commands} {_keys(streams)})")
    if producer in _CACHE:
        rights.append(f"({_CACHE[producer]} ~quorum:latest:*)")
    return f"user {producer} on {_secret(password)} resetchannels {' '.join(rights)}"


def access_list(passwords: Mapping[str, str]) -> str:
    """Return the server's whole file: every producer, and the owner if it has a password."""
    lines = ["user default off resetkeys -@all"]
    if OWNER in passwords:
        lines.append(f"user {OWNER} on {_secret(passwords[OWNER])} ~* &* +@all")
    lines += [user(producer, passwords.get(producer)) for producer in Producer]
    return "\n".join(lines) + "\n"


def _keys(streams: Iterable[Stream]) -> str:
    return " ".join(f"~quorum:{stream}:*" for stream in sorted(streams))


def _secret(password: str | None) -> str:
    """Return a password as the server keeps it: a digest, which tells nothing of a long one."""
    return f"#{sha256(password.encode()).hexdigest()}" if password else "resetpass"


if __name__ == "__main__":
    sys.stdout.write(access_list({}))
