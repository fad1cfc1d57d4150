"""The last price and decision of symbols, as a desk asks for them."""

from contextlib import closing
from typing import NamedTuple

from adapters.latest import open_cache
from adapters.metrics import PrometheusMetrics
from adapters.profile import connected
from adapters.projections.latest import LatestValues
from domain.latest import LatestDecision, LatestPrice
from domain.settings import Settings
from orchestration.record import read_side


class LatestOf(NamedTuple):
    """What is known of one symbol."""

    symbol: str
    price: LatestPrice | None
    decision: LatestDecision | None


def latest_of(settings: Settings, symbol: str | None = None) -> list[LatestOf]:
    """Return the last price and decision of one symbol, or of every symbol on record."""
    with (
        connected(settings) as ready,
        read_side(ready) as queries,
        closing(open_cache(ready)) as cache,
    ):
        symbols = [symbol] if symbol else queries.figures.symbols()
        values = LatestValues(cache, queries.figures, PrometheusMetrics())
        prices, decisions = values.prices(symbols), values.decisions(symbols)
    return [
        LatestOf(name, prices.get(name), decisions.get(name))
        for name in symbols
        if name in prices or name in decisions
    ]
