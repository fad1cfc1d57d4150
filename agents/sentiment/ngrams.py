"""The fast reader: softmax regression on hashed n-grams, for volume."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.network import tensor_of
from agents.price_history import Floats
from agents.sentiment.text import BUCKETS, Buckets, Ngrams, hashed_ngrams

#: Negative, neutral, positive.
TONES = 3
_SMOOTHING = 1.0
#: Classes are weighted by their rarity to this power: whole rarity overrates the rare ones.
_BALANCE = 0.4
_RIDGE = 0.1
_ITERATIONS = 40


class NgramModel:
    """Weights of n-grams: log odds of each tone are their scaled mean, plus a bias.

    Wang & Manning 2012, "Baselines and Bigrams": each n-gram's share is its log-count ratio
    between tones, here times its inverse document frequency.
    """

    def __init__(self, scale: Tensor, weights: Tensor, bias: Tensor) -> None:
        self.scale, self.weights, self.bias = scale, weights, bias

    def log_probabilities(self, texts: Sequence[str]) -> Floats:
        """Return the log probability of negative, neutral and positive, (texts, 3)."""
        if not texts:
            return np.zeros((0, TONES))
        with torch.inference_mode():
            logits = _logits(hashed_ngrams(texts), self.scale, self.weights, self.bias)
            found: Floats = functional.log_softmax(logits, dim=1).double().numpy()  # pyright: ignore[reportUnknownMemberType]
        return found


def train_ngrams(texts: Sequence[str], tones: Buckets) -> NgramModel:
    """Return the model that fits labelled texts (0 negative, 1 neutral, 2 positive).

    There is no chance in it: the same texts give the same model.
    """
    ngrams = hashed_ngrams(texts)
    scale = _scale(ngrams, tones)
    weights = torch.zeros(BUCKETS, TONES, requires_grad=True)
    bias = torch.zeros(TONES, requires_grad=True)
    rarity, labels = rarity_of(tones), tensor_of_whole(tones)
    optimiser = torch.optim.LBFGS(
        [weights, bias],
        max_iter=_ITERATIONS,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = _logits(ngrams, scale, weights, bias)
        value = functional.cross_entropy(logits, labels, weight=rarity, reduction="sum")
        value = value + 0.5 * _RIDGE * weights.square().sum()
        value.backward()  # pyright: ignore[reportUnknownMemberType]
        return value

    optimiser.step(loss)  # pyright: ignore[reportUnknownMemberType]
    return NgramModel(scale, weights.detach(), bias.detach())


def tensor_of_whole(numbers: Buckets) -> Tensor:
    """Return whole numbers as a tensor."""
    return torch.tensor(numbers)


def rarity_of(tones: Buckets) -> Tensor:
    """Return the weight of each tone in the loss: the rarer, the heavier, below proportion."""
    share = np.maximum(np.bincount(tones, minlength=TONES), 1) / len(tones)
    return tensor_of((TONES * share) ** -_BALANCE).float()


def _logits(ngrams: Ngrams, scale: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    buckets, starts = tensor_of_whole(ngrams.buckets), tensor_of_whole(ngrams.starts)
    shares = scale[buckets]
    squares = functional.embedding_bag(buckets, scale.square()[:, None], starts, mode="sum")
    summed = functional.embedding_bag(
        buckets, weights, starts, mode="sum", per_sample_weights=shares
    )
    return summed / squares.sqrt().clamp_min(1e-6) + bias


def _scale(ngrams: Ngrams, tones: Buckets) -> Tensor:
    """Return each bucket's largest absolute log-count ratio times its inverse frequency."""
    texts = len(ngrams.starts)
    of_text = np.repeat(tones, np.diff(ngrams.starts, append=len(ngrams.buckets)))
    counts = np.bincount(ngrams.buckets * TONES + of_text, minlength=BUCKETS * TONES)
    counts = counts.reshape(BUCKETS, TONES).astype(np.float64)
    total = counts.sum(axis=1, keepdims=True)
    with_tone, without = counts + _SMOOTHING, total - counts + _SMOOTHING
    ratios = np.log(with_tone / with_tone.sum(axis=0)) - np.log(without / without.sum(axis=0))
    rarity = np.log((1.0 + texts) / (1.0 + total)) + 1.0
    scale = np.where(total > 0.0, np.abs(ratios).max(axis=1, keepdims=True) * rarity, 0.0)
    return tensor_of(scale[:, 0].copy()).float()
