"""Whether a learned executor may take the classic one's place."""

from typing import NamedTuple

from evaluation.arrays import Series, finite, same_length
from evaluation.significance import Interval, hac_interval


class Comparison(NamedTuple):
    """Cost of the learned executor minus the classic one's (bps), and who is champion.

    Parameters
    ----------
    champion
        ``learned`` where the whole interval lies below zero, else ``classic``.
    """

    difference: Interval
    champion: str


def compare_costs(
    learned: Series, classic: Series, *, overlap: int, confidence: float = 0.95
) -> Comparison:
    """Compare what the same orders cost by both executors.

    Parameters
    ----------
    learned, classic
        Costs (bps) of orders in the order of their arrival, on data that neither has seen.
    overlap
        Orders that are under way together: as far as that, one's difference tells of the next.
        The interval allows for twice as much.

    Raises
    ------
    InvalidValue
        If a cost is not finite, or the series differ in length.
    """
    ours, theirs = finite(learned, "learned"), finite(classic, "classic")
    same_length(ours, theirs, "learned and classic")
    found = hac_interval(ours - theirs, confidence, lags=2 * overlap)
    return Comparison(found, "learned" if found.upper < 0 else "classic")
