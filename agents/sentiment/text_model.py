"""The default reader: a pretrained encoder with a head, frozen or tuned on labelled headlines."""

from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.price_history import Floats
from agents.sentiment.encoder import Encoder
from agents.sentiment.ngrams import TONES, rarity_of, tensor_of_whole
from agents.sentiment.text import Buckets, cleaned
from agents.sentiment.wordpiece import WordPiece

#: Tokens read of a text: 99 of 100 headlines have at most 35.
LONGEST = 48
_READING_BATCH = 64
_HIDDEN, _DROPOUT = 256, 0.3
_HEAD_EPOCHS, _HEAD_BATCH, _HEAD_RATE = 12, 128, 1e-3
_TUNING_EPOCHS, _TUNING_BATCH, _TUNING_RATE = 2, 32, 5e-5
_WARM_UP = 0.1
#: Tuning batches are cut from so many at a time, sorted by length: padding costs time.
_SORTED_TOGETHER = 16


class TextModel(nn.Module):
    """Token ids → log odds of negative, neutral and positive."""

    def __init__(self, tokenizer: WordPiece, encoder: Encoder) -> None:
        super().__init__()
        self.tokenizer, self.encoder = tokenizer, encoder
        width = encoder.words.embedding_dim
        self.head = nn.Sequential(
            nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, TONES)
        )

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""
        return [self.tokenizer.encode(cleaned(text), LONGEST) for text in texts]

    def log_probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the log probability of negative, neutral and positive, (texts, 3)."""
        if not texts:
            return np.zeros((0, TONES))
        with torch.inference_mode():
            logits = self.head(self.embeddings(self.tokens(texts)))
            found: Floats = functional.log_softmax(logits, dim=1).double().numpy()  # pyright: ignore[reportUnknownMemberType]
        return found

    def embeddings(self, tokens: list[list[int]]) -> Tensor:
        """Return the encoder's vector of each text, of length one times the root of the width."""
        rows = torch.zeros(len(tokens), self.encoder.words.embedding_dim)
        order = np.argsort([len(ids) for ids in tokens], kind="stable").tolist()
        with torch.no_grad():
            for first in range(0, len(order), _READING_BATCH):
                chosen = order[first : first + _READING_BATCH]
                rows[chosen] = self.encode([tokens[row] for row in chosen])
        return rows

    def encode(self, tokens: list[list[int]]) -> Tensor:
        """Return the vectors of one batch."""
        ids = torch.zeros(len(tokens), max(map(len, tokens)), dtype=torch.long)
        present = torch.zeros_like(ids, dtype=torch.bool)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = torch.tensor(text)
            present[row, : len(text)] = True
        pooled = self.encoder(ids, present).float()
        return functional.normalize(pooled, dim=1) * pooled.shape[1] ** 0.5


def train_head(model: TextModel, rows: Tensor, tones: Buckets, *, seed: int) -> None:
    """Fit the head alone on embedded texts; the encoder stays as it was published."""
    labels, rarity = tensor_of_whole(tones), rarity_of(tones)
    random = _begin(model, seed)
    optimiser = torch.optim.AdamW(model.head.parameters(), lr=_HEAD_RATE, weight_decay=0.05)
    model.head.train()
    for _ in range(_HEAD_EPOCHS):
        shuffled = random.permutation(len(rows))
        for first in range(0, len(rows), _HEAD_BATCH):
            chosen = shuffled[first : first + _HEAD_BATCH].tolist()
            loss = functional.cross_entropy(model.head(rows[chosen]), labels[chosen], rarity)
            optimiser.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            optimiser.step()  # pyright: ignore[reportUnknownMemberType]
    model.eval()


def fine_tune(model: TextModel, texts: Sequence[str], tones: Buckets, *, seed: int) -> None:
    """Fit encoder and head together, in half precision where the processor has it.

    Word vectors stay as published: most words of a small set of labels are never seen.
    """
    tokens, labels, rarity = model.tokens(texts), tensor_of_whole(tones), rarity_of(tones)
    random = _begin(model, seed)
    model.encoder.words.requires_grad_(requires_grad=False)
    tuned = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": tuned, "lr": _TUNING_RATE},
            {"params": list(model.head.parameters()), "lr": _HEAD_RATE},
        ],
        weight_decay=0.01,
    )
    steps = _TUNING_EPOCHS * ceil(len(tokens) / _TUNING_BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(
            (step + 1) / (_WARM_UP * steps), (steps - step) / ((1 - _WARM_UP) * steps)
        ),
    )
    model.train()
    for _ in range(_TUNING_EPOCHS):
        for chosen in _batches(tokens, random):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rows = model.encode([tokens[row] for row in chosen])
            loss = functional.cross_entropy(model.head(rows), labels[chosen], rarity)
            optimiser.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            nn.utils.clip_grad_norm_(tuned, 1.0)
            optimiser.step()  # pyright: ignore[reportUnknownMemberType]
            schedule.step()
    model.eval()


def _begin(model: TextModel, seed: int) -> np.random.Generator:
    """Set the head to what the seed alone says, and return what draws the batches."""
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    for layer in model.head:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return np.random.default_rng(seed)


def _batches(tokens: list[list[int]], random: np.random.Generator) -> Iterator[list[int]]:
    """Yield every text once, in batches of similar length, in random order."""
    shuffled = random.permutation(len(tokens))
    batches: list[list[int]] = []
    for begin in range(0, len(tokens), _SORTED_TOGETHER * _TUNING_BATCH):
        part: list[int] = shuffled[begin : begin + _SORTED_TOGETHER * _TUNING_BATCH].tolist()
        part.sort(key=lambda row: len(tokens[row]))
        batches += [part[i : i + _TUNING_BATCH] for i in range(0, len(part), _TUNING_BATCH)]
    for number in random.permutation(len(batches)).tolist():
        yield batches[number]
