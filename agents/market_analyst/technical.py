"""What the bars of one symbol say, in all three layers."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from agents.indicators.alphas import latest_alphas
from agents.market_view import MarketView


class TechnicalAnalysis(NamedTuple):
    """Values of one bar; NaN where history is short.

    Parameters
    ----------
    indicators
        In natural units, for people and charts (`agents.indicators.technical`).
    features
        Without scale, for models (`agents.indicators.features`).
    alphas
        The wider set for research (`agents.indicators.alphas`).
    """

    indicators: Mapping[str, float]
    features: Mapping[str, float]
    alphas: Mapping[str, float]


def analyse(view: MarketView, symbol: str, at: datetime) -> TechnicalAnalysis:
    """Return what the bars of `symbol` up to `at` say of the newest of them.

    Raises
    ------
    InvalidValue
        If the view holds no bar of the symbol by then.
    """
    return TechnicalAnalysis(
        view.indicators(symbol, at),
        view.features(symbol, at) or {},
        latest_alphas(view.history(symbol, at)),
    )
