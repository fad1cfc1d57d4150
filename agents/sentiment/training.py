"""Headline models from labelled headlines, with their quality on headlines held out."""

from hashlib import sha256
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.learning.loop import one_thread
from agents.price_history import Floats
from agents.sentiment.ngrams import TONES, NgramModel, train_ngrams
from agents.sentiment.pretrained import load_encoder, load_tokenizer
from agents.sentiment.reading import FastReader, Reader, TextReader
from agents.sentiment.text import Buckets, cleaned
from agents.sentiment.text_model import TextModel, fine_tune, train_head
from domain.errors import DataQualityError
from domain.settings import ReaderKind

LABELS = {"negative": 0, "neutral": 1, "positive": 2}
#: Labelled headlines below which nothing is trained.
FEWEST = 60
_HELD_OUT_PERCENT = 15


class TrainedReader(NamedTuple):
    """A reader's models, and how well they read headlines that they had not seen."""

    kind: ReaderKind
    ngrams: NgramModel
    text_model: TextModel | None
    metrics: dict[str, float]

    def reader(self, version: str) -> Reader:
        """Return the best reader that these models make."""
        if self.text_model is None:
            return FastReader(self.ngrams, version)
        tuned = self.kind is ReaderKind.TUNED
        return TextReader(self.text_model, self.ngrams, version, tuned=tuned)


@one_thread()
def train_reader(headlines: pl.DataFrame, kind: ReaderKind, *, seed: int) -> TrainedReader:
    """Return models trained on columns text and label (negative, neutral, positive).

    What column held_out says is only measured on; without it, a seventh of the texts, by hash.

    Raises
    ------
    DataQualityError
        If a column is missing, a label is unknown, or a label has too few headlines.
    EnvironmentProblem
        If the kind needs the pretrained encoder and it is not installed.
    """
    rows = checked(headlines)
    held_out = rows["held_out"].to_numpy()
    tones = np.array([LABELS[label] for label in rows["label"]])
    seen = rows.filter(~pl.Series(held_out))["text"].to_list()
    ngrams = train_ngrams(seen, tones[~held_out])
    model = None
    if kind is not ReaderKind.FAST:
        model = TextModel(load_tokenizer(), load_encoder()).eval()
        if kind is ReaderKind.TUNED:
            fine_tune(model, seen, tones[~held_out], seed=seed)
        else:
            train_head(model, model.embeddings(model.tokens(seen)), tones[~held_out], seed=seed)
    trained = TrainedReader(kind, ngrams, model, {})
    unseen = rows.filter(pl.Series(held_out))["text"].to_list()
    metrics = quality(trained.reader("").probabilities(unseen), tones[held_out])
    return trained._replace(
        metrics={
            **metrics,
            "headlines_learned": float(len(seen)),
            "headlines_measured": float(len(unseen)),
        }
    )


def checked(headlines: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct texts with label and held_out, in order of the text.

    Raises
    ------
    DataQualityError
        See `train_reader`.
    """
    if missing := {"text", "label"} - set(headlines.columns):
        raise _unusable(f"They have no column {', '.join(sorted(missing))}.")
    if "held_out" not in headlines.columns:
        by_hash = pl.col("text").cast(pl.String).map_elements(_is_held_out, pl.Boolean)
        headlines = headlines.with_columns(held_out=by_hash)
    rows = headlines.select(pl.col("text", "label").cast(pl.String), "held_out").drop_nulls()
    if unknown := sorted(set(rows["label"].unique()) - LABELS.keys()):
        raise _unusable(f"Label {unknown[0]!r} is not one of {', '.join(LABELS)}.")
    rows = rows.unique("text", keep="first", maintain_order=True).sort("text")
    learned = rows.filter(~pl.col("held_out"))
    counts = [learned.filter(pl.col("label") == label).height for label in LABELS]
    if min(counts) * TONES < FEWEST:
        raise _unusable(f"There are {counts} of {', '.join(LABELS)}: too few of one.")
    return rows


def quality(probabilities: Floats, tones: Buckets) -> dict[str, float]:
    """Return macro F1, Brier score and expected calibration error (ten bins of confidence)."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == tones
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs(float((right[bins == b] - confidence[bins == b]).sum())) for b in range(10)]
    return {
        "macro_f1": round(macro_f1(predicted, tones), 6),
        "brier_score": round(
            float(((probabilities - np.eye(TONES)[tones]) ** 2).sum(axis=1).mean()), 6
        ),
        "calibration_error": round(sum(gaps) / len(tones), 6),
    }


def macro_f1(predicted: Buckets, tones: Buckets) -> float:
    """Return the unweighted mean of the tones' F1 scores; a tone that never occurs counts 0."""
    scores: list[float] = []
    for tone in range(TONES):
        hits = int(((predicted == tone) & (tones == tone)).sum())
        involved = int((predicted == tone).sum() + (tones == tone).sum())
        scores.append(2.0 * hits / involved if involved else 0.0)
    return sum(scores) / TONES


def _is_held_out(text: str) -> bool:
    digest = sha256(cleaned(text).lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < _HELD_OUT_PERCENT


def _unusable(what: str) -> DataQualityError:
    return DataQualityError(
        f"The labelled headlines can't be learned from. {what}",
        next_step=f"Give columns text and label ({', '.join(LABELS)}), {FEWEST // TONES} each at "
        "least.",
    )
