"""The cache of last values in memory, for one process."""

import time
from collections.abc import Callable, Mapping, Sequence

from domain.ports.latest import Cached, Kind


class MemoryCache:
    """A `LatestCache`.

    Parameters
    ----------
    clock
        Seconds that only rise.
    """

    def __init__(
        self, *, time_to_live_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._time_to_live = time_to_live_seconds
        self._clock = clock
        self._kept: dict[tuple[Kind, str], tuple[float, Cached]] = {}

    def put(self, values: Sequence[Cached]) -> None:
        """See `LatestCache.put`."""
        until = self._clock() + self._time_to_live
        for value in values:
            known = self.get(value.kind, [value.symbol]).get(value.symbol)
            if known is None or known.version <= value.version:
                self._kept[value.kind, value.symbol] = until, value

    def get(self, kind: Kind, symbols: Sequence[str]) -> Mapping[str, Cached]:
        """See `LatestCache.get`."""
        now = self._clock()
        found = {s: self._kept[kind, s] for s in symbols if (kind, s) in self._kept}
        return {symbol: value for symbol, (until, value) in found.items() if now < until}

    def close(self) -> None:
        """See `LatestCache.close`."""
