"""What a process runs: the release, its code, and the settings that decide and trade.

Two copies of one release with different code are two softwares, and so are two with other limits:
what Knight Capital's eighth server had was neither a new release's name nor its code.
"""

import json
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from domain.settings import Settings

_ROOMS = ("adapters", "agents", "consensus", "domain", "serving", "trading")
_DIGITS = 12


def software_of(settings: Settings) -> str:
    """Return the name of what a process of these settings runs; equal for equal workers."""
    return f"{version('quorum')} code {_code()} settings {_digest(_decisive(settings))}"


def _decisive(settings: Settings) -> bytes:
    """Return the settings that decide what is traded; equal values give equal bytes."""
    groups = [settings.consensus.model_dump(), settings.trading.model_dump()]
    decisive = {"partitions": settings.partitions, "groups": groups}
    return json.dumps(decisive, sort_keys=True, default=_plain).encode()


def _plain(value: object) -> str:
    """Return a decimal without its trailing zeros, and anything else as it is written."""
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)


@cache
def _code() -> str:
    """Return the digest of the code that this process was started from."""
    root = Path(__file__).parents[2]
    files = sorted(path for room in _ROOMS for path in (root / room).rglob("*.py"))
    parts = [part for f in files for part in (str(f.relative_to(root)).encode(), f.read_bytes())]
    return _digest(b"\0".join(parts))


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:_DIGITS]
