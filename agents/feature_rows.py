"""One symbol's features bar by bar, and what models made of them.

What is asked for again isn't computed again: a new bar adds one row.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from agents.indicators import FEATURE_NAMES, SENTIMENT, WINDOW, compute
from agents.model import Model
from agents.network import PolicyNetwork
from agents.price_history import Floats, Microseconds, PriceHistory
from agents.sentiment.news import News, sentiment_at

#: Rows that are kept; the back-test of a value at risk reads 260.
_KEPT = 1024
_SENTIMENT = FEATURE_NAMES.index(SENTIMENT)


class DatedRows:
    """Rows by ascending time; of more than `_KEPT`, those up to the last that was put in."""

    def __init__(self, width: int) -> None:
        self.times: Microseconds = np.zeros(0, np.int64)
        self.rows: Floats = np.zeros((0, width))

    def all_of(self, times: Microseconds) -> Floats | None:
        """Return the rows of ascending `times` if all are here side by side, without a copy."""
        start = int(np.searchsorted(self.times, int(times[0]))) if len(times) else 0
        found = slice(start, start + len(times))
        return self.rows[found] if np.array_equal(self.times[found], times) else None

    def find(self, times: Microseconds) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the rows of `times`, and which of them are here; the others are NaN."""
        at = np.searchsorted(self.times, times)
        known = np.append(self.times, -1)[at] == times
        rows = np.full((len(times), self.rows.shape[1]), np.nan)
        rows[known] = self.rows[at[known]]
        return rows, known

    def put(self, times: Microseconds, rows: Floats) -> None:
        """Take in rows of ascending times, in place of those that are here."""
        others = ~np.isin(self.times, times)
        all_times = np.concatenate([self.times[others], times])
        order = np.argsort(all_times, kind="stable")
        end = int(np.searchsorted(all_times, int(times[-1]), sorter=order)) + 1
        kept = order[max(0, end - _KEPT) : max(end, _KEPT)]
        self.times = all_times[kept]
        self.rows = np.concatenate([self.rows[others], rows])[kept]

    def drop_from(self, time: int) -> None:
        """Forget the rows from `time` on."""
        end = int(np.searchsorted(self.times, time))
        self.times, self.rows = self.times[:end], self.rows[:end]


class FeatureRows:
    """Keeps the rows that were asked for, and each model's outputs for them."""

    def __init__(self) -> None:
        self._features = DatedRows(len(FEATURE_NAMES))
        self._outputs: WeakKeyDictionary[PolicyNetwork, DatedRows] = WeakKeyDictionary()

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
        held = self._features.all_of(times)
        if held is not None:
            return times, held
        rows, known = self._features.find(times)
        for row in np.flatnonzero(~known).tolist():
            found = prepared(int(times[row]))
            if found is not None:
                rows[row], known[row] = found, True
        missing = np.flatnonzero(~known)
        if len(missing):
            back = len(times) - int(missing[0])
            computed = compute(bars.last(WINDOW + back - 1), news, newest=back)
            rows[missing] = computed[missing - missing[0]]
        self._features.put(times, rows)
        return times, rows

    def outputs(self, model: Model, times: Microseconds, features: Floats) -> Floats:
        """Return the model's outputs for rows as `newest` gives them; NaN where an input is.

        They are kept for as long as the model is in memory.
        """
        width = len(model.specification.outputs)
        held = self._outputs.setdefault(model.network, DatedRows(width))
        outputs = held.all_of(times)
        if outputs is not None:
            return outputs
        outputs, known = held.find(times)
        columns = [FEATURE_NAMES.index(name) for name in model.specification.inputs]
        outputs[~known] = model.predict(features[~known][:, columns])
        held.put(times, outputs)
        return outputs

    def hear(self, time: int, news: News) -> None:
        """Take into account news that has one more headline, of `time`."""
        features = self._features
        late = int(np.searchsorted(features.times, time))
        if late == len(features.times):
            return
        # What was handed out stays as it was.
        features.rows = features.rows.copy()
        features.rows[late:, _SENTIMENT] = sentiment_at(news, features.times[late:])
        for held in self._outputs.values():
            held.drop_from(time)
