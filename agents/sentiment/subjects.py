"""Whom a text is about, and how far ahead it looks: by rule, from its words."""

import re

#: Trading days that a text looks ahead where none of its words says so.
USUAL_HORIZON_DAYS = 5

_TICKER = re.compile(
    r"\$([A-Za-z][A-Za-z.\-]{0,9})\b|\((?:NYSE|NASDAQ|AMEX)\s*:\s*([A-Z][A-Z.\-]{0,9})\)"
)
#: The first line that has a word of the text decides: the near future outweighs the far one.
_HORIZONS: tuple[tuple[int, re.Pattern[str]], ...] = tuple(
    (days, re.compile(rf"\b(?:{words})\b", re.IGNORECASE))
    for days, words in (
        (1, "today|tonight|intraday|premarket|pre-market|after-hours|opening bell|now"),
        (5, "tomorrow|this week|next week|weekly"),
        (21, "this month|next month|monthly|weeks"),
        (63, "quarter|quarterly|q[1-4]|earnings|guidance|outlook|forecast|months"),
        (252, "year|annual|yearly|long-term|long term|years|decade"),
    )
)


def symbols_named(text: str) -> frozenset[str]:
    """Return the symbols that a text names: ``$AAPL``, ``(NYSE: IBM)``."""
    return frozenset((cash or listed).upper() for cash, listed in _TICKER.findall(text))


def horizon_days(text: str) -> int:
    """Return how many trading days ahead a text looks."""
    return next((days for days, words in _HORIZONS if words.search(text)), USUAL_HORIZON_DAYS)
