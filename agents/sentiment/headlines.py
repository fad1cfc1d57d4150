"""The headlines of each symbol as one reader reads them: decayed, repeats counted once."""

from datetime import datetime
from math import exp, log
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.model import PLACES
from agents.price_history import to_microseconds
from agents.sentiment.news import DAY, HALF_LIFE_DAYS, MEMORY
from agents.sentiment.reading import Reader, Reading, read
from agents.sentiment.repeats import Signatures, first_like, signatures
from agents.sentiment.subjects import USUAL_HORIZON_DAYS, horizon_days, symbols_named
from domain.errors import InvalidValue
from domain.market import NewsItem

#: A reading is kept so long as its text may be asked for again.
_REMEMBERED = 4096


class SymbolSentiment(NamedTuple):
    """What the headlines say of one symbol at an instant.

    Parameters
    ----------
    score
        Decayed mean of the readings' scores, -1 … 1, shrunk to 0 where there is little news.
    confidence
        Decayed mean of the readings' confidences, shrunk in the same way, 0 … 1.
    horizon_days
        Trading days ahead that the weightiest headlines look.
    headlines, repeats
        Different ones in memory, and how many more said nearly the same.
    sources
        Where they came from.
    reader
        Which model answered.
    """

    symbol: str
    score: float
    confidence: float
    horizon_days: int
    headlines: int
    repeats: int
    sources: tuple[str, ...]
    reader: str

    def in_words(self) -> str:
        """Return ``news +0.31 (3 headlines, 2 repeats, n-grams 1f3a)``."""
        if not self.headlines:
            return f"no news ({self.reader})"
        repeats = f", {self.repeats} repeats" if self.repeats else ""
        several = "s" if self.headlines > 1 else ""
        return (
            f"news {self.score:+.2f} ({self.headlines} headline{several}{repeats}, {self.reader})"
        )


class _Headline(NamedTuple):
    time: int
    text: str
    source: str


class Headlines:
    """Headlines by symbol, from tables and messages; reading them is as of an instant."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._held: dict[str, set[_Headline]] = {}
        self._readings: dict[str, tuple[Reading, Signatures]] = {}

    def warm_up(self, news: pl.DataFrame | None) -> None:
        """Take in table NEWS: symbol, timestamp, headline, source."""
        if news is None or news.is_empty():
            return
        columns = news.select("symbol", pl.col("timestamp").dt.epoch("us"), "headline", "source")
        for symbol, time, text, source in columns.iter_rows():
            self._held.setdefault(symbol, set()).add(_Headline(time, text, source))

    def add(self, item: NewsItem) -> None:
        """Take in one message; the same headline again changes nothing."""
        headline = _Headline(to_microseconds(item.published_at), item.headline, item.source)
        self._held.setdefault(item.symbol, set()).add(headline)

    def sentiment(self, symbol: str, at: datetime) -> SymbolSentiment:
        """Return what the headlines published by `at` say; without any, a score of 0."""
        if at.tzinfo is None:
            raise InvalidValue("The instant has no time zone.", next_step="Pass an aware datetime.")
        now = to_microseconds(at)
        known = sorted(h for h in self._held.get(symbol, ()) if now - MEMORY < h.time <= now)
        self._read([h.text for h in known])
        kept: list[_Headline] = []
        marks: list[Signatures] = []
        for headline in known:
            mark = self._readings[headline.text][1]
            if not marks or first_like(mark, np.stack(marks)) is None:
                kept.append(headline)
                marks.append(mark)
        weights = [
            0.5 ** ((now - h.time) / DAY / HALF_LIFE_DAYS) * _relevance(symbol, h.text)
            for h in kept
        ]
        readings = [self._readings[h.text][0] for h in kept]
        total = sum(weights) + 1.0
        pairs = list(zip(weights, readings, strict=True))
        return SymbolSentiment(
            symbol=symbol,
            score=round(sum(weight * reading.score for weight, reading in pairs) / total, PLACES),
            confidence=round(sum(weight * r.confidence for weight, r in pairs) / total, PLACES),
            horizon_days=_usual_horizon(kept, weights),
            headlines=len(kept),
            repeats=len(known) - len(kept),
            sources=tuple(sorted({h.source for h in known})),
            reader=self.reader.name,
        )

    def _read(self, texts: list[str]) -> None:
        """Read what was not read before: each text alone, so that its neighbours leave no trace."""
        new = [text for text in dict.fromkeys(texts) if text not in self._readings]
        if len(self._readings) + len(new) > _REMEMBERED:
            self._readings = {t: self._readings[t] for t in texts if t in self._readings}
        for text, mark in zip(new, signatures(new), strict=True):
            self._readings[text] = read(self.reader, [text])[0], mark


def _relevance(symbol: str, text: str) -> float:
    """Return a text's share for one symbol: all of it, or a part where it names several."""
    named = symbols_named(text) | {symbol}
    return 1.0 / len(named)


def _usual_horizon(headlines: list[_Headline], weights: list[float]) -> int:
    """Return the weighted geometric mean of the headlines' horizons, in whole days."""
    total = sum(weights)
    if total <= 0.0:
        return USUAL_HORIZON_DAYS
    logs = (w * log(horizon_days(h.text)) for h, w in zip(headlines, weights, strict=True))
    return round(exp(sum(logs) / total))
