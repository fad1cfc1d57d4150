"""Last prices and decisions: put into the cache after the commit, read back by way of it."""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from adapters.projections.figures import Figures, Latest
from adapters.projections.writing import Written
from domain.errors import EnvironmentProblem
from domain.latest import LatestDecision, LatestPrice
from domain.metrics import Metric
from domain.ports.latest import Cached, Kind, LatestCache
from domain.ports.metrics import Metrics

_log = structlog.get_logger(__name__)


class CacheFiller:
    """Hears what a projector wrote and puts last values into the cache; a lost cache is counted."""

    def __init__(self, cache: LatestCache, metrics: Metrics) -> None:
        self._cache = cache
        self._metrics = metrics

    def __call__(self, written: Written) -> None:
        """Put the last values of a committed batch."""
        kinds: tuple[Kind, ...] = ("price", "decision")
        values = [
            Cached(
                kind=kind,
                symbol=row["symbol"],
                version=row[f"{kind}_sequence"],
                data=bytes(row[kind]),
            )
            for row in written.get("latest", ())
            for kind in kinds
            if row[kind] is not None
        ]
        try:
            self._cache.put(values)
        except EnvironmentProblem as problem:
            self._metrics.count(Metric.CACHE_FAULTS, len(values))
            _log.warning("the cache is away", problem=problem.what)


class LatestValues:
    """Last values by symbol: from the cache where it has them, else from the projections."""

    def __init__(self, cache: LatestCache, figures: Figures, metrics: Metrics) -> None:
        self._cache = cache
        self._figures = figures
        self._metrics = metrics

    def prices(self, symbols: Sequence[str]) -> dict[str, LatestPrice]:
        """Return symbol → last price; a symbol without any is left out."""
        found = self._cached("price", symbols)
        prices = {s: msgspec.json.decode(v.data, type=LatestPrice) for s, v in found.items()}
        for symbol, row in self._projected(symbols, prices).items():
            if row.price is not None:
                prices[symbol] = row.price
        return prices

    def decisions(self, symbols: Sequence[str]) -> dict[str, LatestDecision]:
        """Return symbol → last decision; a symbol without any is left out."""
        found = self._cached("decision", symbols)
        decisions = {s: msgspec.json.decode(v.data, type=LatestDecision) for s, v in found.items()}
        for symbol, row in self._projected(symbols, decisions).items():
            if row.decision is not None:
                decisions[symbol] = row.decision
        return decisions

    def _cached(self, kind: Kind, symbols: Sequence[str]) -> Mapping[str, Cached]:
        try:
            found = self._cache.get(kind, symbols)
        except EnvironmentProblem as problem:
            _log.warning("the cache is away", problem=problem.what)
            self._metrics.count(Metric.CACHE_READS, len(symbols), kind=kind, answer="away")
            return {}
        missed = len(symbols) - len(found)
        self._metrics.count(Metric.CACHE_READS, len(found), kind=kind, answer="hit")
        self._metrics.count(Metric.CACHE_READS, missed, kind=kind, answer="miss")
        return found

    def _projected(self, symbols: Sequence[str], known: Mapping[str, object]) -> dict[str, Latest]:
        missing = [symbol for symbol in symbols if symbol not in known]
        return {row.symbol: row for row in self._figures.latest(missing)} if missing else {}
