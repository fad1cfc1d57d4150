"""Which patterns have a say: those with a measured edge, in a trader's words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.market_analyst.patterns.detection import newest_patterns
from agents.market_analyst.patterns.geometry import Pattern
from agents.market_analyst.patterns.track_record import TrackRecord
from agents.price_history import PriceHistory


class DetectedPattern(NamedTuple):
    """A pattern, and what such patterns were worth in the market; None where none was seen yet."""

    pattern: Pattern
    record: TrackRecord | None

    @property
    def has_say(self) -> bool:
        """Whether it has an edge; without one it is drawn, and moves nothing."""
        return self.record is not None and self.record.has_edge


def detect(
    history: PriceHistory, records: Mapping[str, TrackRecord], within: int
) -> list[DetectedPattern]:
    """Return the patterns that the newest `within` bars complete, with their records."""
    return [
        DetectedPattern(pattern, records.get(pattern.key))
        for pattern in newest_patterns(history, within)
    ]


def said_of_patterns(history: PriceHistory, records: Mapping[str, TrackRecord]) -> str:
    """Return the newest bar's patterns that have a say, with numbers; "" where none has."""
    if not any(record.has_edge for record in records.values()):
        return ""
    return in_words(detect(history, records, within=1))


def in_words(found: Sequence[DetectedPattern]) -> str:
    """Return patterns that have a say: ``double bottom, up: right 58.0% of 412, usual 51.2%``."""
    return "; ".join(
        f"{pattern.key}: right {record.hit_rate:.1%} of {record.count}, "
        f"usual {record.base_rate:.1%}"
        for pattern, record in found
        if record is not None and record.has_edge
    )
