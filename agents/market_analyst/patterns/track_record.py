"""How a pattern fared in a market."""

import msgspec

#: Fewest clusters that an interval is believed from.
_FEWEST = 30


class TrackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a pattern, in one direction, fared in a market.

    Parameters
    ----------
    count, clusters
        Occurrences (those of a symbol at least one horizon apart), and horizons they fell into.
    hit_rate, base_rate
        Share of occurrences that were right, and of all bars that would have been.
    edge_low, edge_high
        Interval of the difference.
    """

    count: int
    clusters: int
    hit_rate: float
    base_rate: float
    edge_low: float
    edge_high: float

    @property
    def has_edge(self) -> bool:
        """Whether it is right more often than chance, beyond what chance explains."""
        return self.clusters >= _FEWEST and self.edge_low > 0.0
