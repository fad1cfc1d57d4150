"""How much of each limit a portfolio uses, and the largest position that the limits allow."""

from typing import NamedTuple

from agents.risk_manager.value_at_risk import ValueAtRisk
from domain.settings import TradingSettings


class Utilisation(NamedTuple):
    """Each figure divided by its limit; 1 is the limit itself."""

    position_fraction: float
    gross_exposure: float
    value_at_risk: float

    @property
    def binding(self) -> str:
        """Name of the limit that is used most."""
        return max(self._fields, key=lambda name: getattr(self, name))

    @property
    def highest(self) -> float:
        """The largest utilisation."""
        return max(self)


def utilisation(
    weights: dict[str, float], symbol: str, risk: ValueAtRisk | None, limits: TradingSettings
) -> Utilisation:
    """Return how much of the limits a portfolio with these weights uses."""
    gross = sum(abs(weight) for weight in weights.values())
    return Utilisation(
        position_fraction=abs(weights.get(symbol, 0.0)) / float(limits.maximum_position_fraction),
        gross_exposure=gross / float(limits.maximum_gross_exposure),
        value_at_risk=(risk.worst if risk else 0.0) / float(limits.maximum_value_at_risk),
    )


class PositionSize(NamedTuple):
    """The largest trade, as a fraction of equity, and the limit that binds."""

    fraction: float
    binding: str


def position_size(
    weights: dict[str, float],
    symbol: str,
    *,
    daily_volatility: float,
    daily_volume_value: float,
    equity: float,
    limits: TradingSettings,
) -> PositionSize:
    """Return how much more of `symbol` may be bought: the least of four limits, named.

    The position's fraction, the gross exposure left, the VaR limit carried by this position
    alone (normal, 99 %), and the share of a day's volume that one fill may take.
    """
    held = weights.get(symbol, 0.0)
    gross = sum(abs(weight) for weight in weights.values())
    alone = float(limits.maximum_value_at_risk) / (2.3263 * max(daily_volatility, 1e-6))
    room = {
        "position_fraction": float(limits.maximum_position_fraction) - held,
        "gross_exposure": float(limits.maximum_gross_exposure) - gross,
        "value_at_risk": alone - held,
        "liquidity": float(limits.maximum_participation_rate) * daily_volume_value / equity,
    }
    binding = min(room, key=lambda name: room[name])
    return PositionSize(max(room[binding], 0.0), binding)
