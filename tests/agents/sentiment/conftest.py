"""Labelled headlines of an invented language, and a tiny encoder in place of the real one."""

import numpy as np
import polars as pl
import pytest
import torch

from agents.sentiment.encoder import Encoder
from agents.sentiment.text_model import TextModel
from agents.sentiment.wordpiece import WordPiece

WORDS = {"negative": "grumple", "neutral": "plain", "positive": "zorble"}


@pytest.fixture(scope="session")
def labelled():
    random = np.random.default_rng(3)
    symbols = [f"{letter}CME" for letter in "ABCDEFGH"]
    rows: list[tuple[str, str, int]] = []
    for number in range(120):
        tone = number % 3
        label, word = list(WORDS.items())[tone]
        when, symbol = random.choice(["quarter", "day", "plan"]), random.choice(symbols)
        item = "abcdefghij"[number % 10] * (number // 30)
        rows.append((f"{word} {when} at {symbol}, item {item}", label, tone))
    return pl.DataFrame(rows, schema=["text", "label", "tone"], orient="row")


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ",", "at", "day", "plan", "quarter", "plain"]
VOCABULARY += ["zor", "##ble", "gr", "##umple", "item", "acme"]


@pytest.fixture
def tiny_model():
    torch.manual_seed(1)
    encoder = Encoder(vocabulary=len(VOCABULARY), width=24, inner=32, layers=1, positions=64)
    return TextModel(WordPiece(VOCABULARY), encoder).eval()
