"""A cache of last values by symbol: quick to read, lost without harm."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from domain.messages import Value

Kind = Literal["price", "decision"]


class Cached(Value, frozen=True, kw_only=True):
    """One value of one symbol.

    Parameters
    ----------
    version
        Its place in the log that it comes from: a higher one is newer.
    data
        Canonical JSON of a `domain.latest.LatestPrice` or `LatestDecision`.
    """

    kind: Kind
    symbol: str
    version: int
    data: bytes


class LatestCache(Protocol):
    """Keeps the newest value of each kind and symbol, for a while.

    Raises
    ------
    domain.errors.EnvironmentProblem
        From any method, when the cache is away; whoever asks has another way to know.
    """

    def put(self, values: Sequence[Cached]) -> None:
        """Keep values, except where a newer one is kept already."""
        ...

    def get(self, kind: Kind, symbols: Sequence[str]) -> Mapping[str, Cached]:
        """Return symbol → value, for those that are kept."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...
