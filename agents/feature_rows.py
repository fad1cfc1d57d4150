"""The newest features of one symbol, bar by bar; what is asked for again isn't computed again."""

from collections.abc import Callable

import numpy as np

from agents.indicators import FEATURE_NAMES, WINDOW, compute
from agents.price_history import Floats, Microseconds, PriceHistory
from agents.sentiment.news import News


class FeatureRows:
    """Keeps the rows that were last asked for."""

    def __init__(self) -> None:
        self._times: Microseconds = np.zeros(0, np.int64)
        self._rows: Floats = np.zeros((0, len(FEATURE_NAMES)))

    def newest(
        self,
        bars: PriceHistory,
        count: int,
        news: News,
        prepared: Callable[[int], Floats | None],
    ) -> tuple[Microseconds, Floats]:
        """Return the times and features (rows × `FEATURE_NAMES`) of the newest `count` bars.

        Parameters
        ----------
        prepared
            Bar's time → its row, where it was computed before.
        """
        times = bars.times[-count:]
        if np.array_equal(times, self._times):
            return self._times, self._rows
        rows = np.full((len(times), len(FEATURE_NAMES)), np.nan)
        place = np.searchsorted(self._times, times)
        known = np.append(self._times, -1)[place] == times
        rows[known] = self._rows[place[known]]
        for row in np.flatnonzero(~known).tolist():
            found = prepared(int(times[row]))
            if found is not None:
                rows[row], known[row] = found, True
        missing = np.flatnonzero(~known)
        if len(missing):
            back = len(times) - int(missing[0])
            computed = compute(bars.last(WINDOW + back), news, newest=back)
            rows[missing] = computed[missing - missing[0]]
        self._times, self._rows = times, rows
        return times, rows
