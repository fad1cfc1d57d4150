"""What reads headlines: the text model, the fast one, or the lexicon; and what a reading says."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from agents.model import PLACES
from agents.price_history import Floats
from agents.sentiment.lexicon import score_headline
from agents.sentiment.ngrams import NgramModel
from agents.sentiment.text_model import TextModel

_LEAST = 1e-6
#: Share of the n-grams' log odds beside the text model's, with its encoder frozen and tuned.
NGRAM_SHARE_FROZEN, NGRAM_SHARE_TUNED = 0.6, 0.3


class Reading(NamedTuple):
    """What one reader makes of one text.

    Parameters
    ----------
    score
        Chance of good less chance of bad news, -1 … 1.
    confidence
        Chance of the likeliest of negative, neutral and positive.
    """

    score: float
    confidence: float


class Reader(Protocol):
    """Tells how likely texts are bad, neutral or good news."""

    @property
    def name(self) -> str:
        """Which model answers, with its version: it goes into proposals and votes."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the probabilities of negative, neutral and positive, (texts, 3)."""
        ...


class Lexicon:
    """Word counts: the last fallback, which is always there."""

    name = "lexicon"

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the tone as a probability of good or bad news; the rest is neutral."""
        tones = np.array([score_headline(text) for text in texts], dtype=np.float64)
        good, bad = np.maximum(tones, 0.0), np.maximum(-tones, 0.0)
        return np.column_stack([bad, 1.0 - good - bad, good])


class FastReader:
    """Hashed n-grams: thousands of headlines a second."""

    def __init__(self, model: NgramModel, version: str) -> None:
        self.model = model
        self.name = f"n-grams {version}"

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the model's probabilities."""
        return _normalised(self.model.log_probabilities(texts))


class TextReader:
    """The encoder's odds, averaged with those of the n-grams."""

    def __init__(self, model: TextModel, ngrams: NgramModel, version: str, *, tuned: bool) -> None:
        self.model, self.ngrams = model, ngrams
        self.name = f"{'fine-tuned' if tuned else 'frozen'} MiniLM {version}"
        self._share = NGRAM_SHARE_TUNED if tuned else NGRAM_SHARE_FROZEN

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the geometric mean of both models' probabilities."""
        words = self.ngrams.log_probabilities(texts)
        meaning = self.model.log_probabilities(texts)
        return _normalised(self._share * words + (1.0 - self._share) * meaning)


LEXICON = Lexicon()


def read(reader: Reader, texts: Sequence[str]) -> list[Reading]:
    """Return the reading of each text."""
    return [
        Reading(round(good - bad, PLACES), round(max(bad, neutral, good), PLACES))
        for bad, neutral, good in reader.probabilities(texts).tolist()
    ]


def _normalised(log_probabilities: Floats) -> Floats:
    likely = np.exp(
        log_probabilities - log_probabilities.max(axis=1, keepdims=True, initial=-np.inf)
    )
    return np.maximum(likely / likely.sum(axis=1, keepdims=True), _LEAST)
