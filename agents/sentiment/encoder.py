"""A BERT-shaped sentence encoder (MiniLM-L6-H384) in plain torch: frozen, or tuned further.

Devlin et al. 2018, "BERT"; Wang et al. 2020, "MiniLM"; mean pooling as in Reimers & Gurevych
2019, "Sentence-BERT". The weights come from an installed package and are never downloaded.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEADS = 12
_EPSILON = 1e-12


class _Block(nn.Module):
    """Self-attention and a feed-forward layer, each followed by its normalisation."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.attended = nn.Linear(width, width), nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width, eps=_EPSILON)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.outer_norm = nn.LayerNorm(width, eps=_EPSILON)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the states (rows × tokens × width) after this layer."""
        rows, tokens, width = states.shape

        def split(values: Tensor) -> Tensor:
            return values.view(rows, tokens, _HEADS, width // _HEADS).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            split(self.query(states)),
            split(self.key(states)),
            split(self.value(states)),
            attn_mask=mask,
        )
        joined = mixed.transpose(1, 2).reshape(rows, tokens, width)
        states = self.attended_norm(states + self.attended(joined))
        return self.outer_norm(states + self.outer(functional.gelu(self.inner(states))))


class Encoder(nn.Module):
    """Token ids → one vector per text: the mean of its tokens' last states."""

    def __init__(
        self, vocabulary: int, width: int, inner: int, layers: int, positions: int
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.segments = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.blocks = nn.ModuleList(_Block(width, inner) for _ in range(layers))

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        """Return rows × width; `ids` and `present` (a mask of real tokens) are rows × tokens."""
        places = torch.arange(ids.shape[1])
        states = self.norm(self.words(ids) + self.positions(places) + self.segments.weight[0])
        mask = present[:, None, None, :]
        for block in self.blocks:
            states = block(states, mask)
        weights = present[:, :, None].to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)


#: Names of the published checkpoint's tensors in terms of the modules here.
_EMBEDDINGS = {
    "words": "word_embeddings",
    "positions": "position_embeddings",
    "segments": "token_type_embeddings",
    "norm": "LayerNorm",
}
_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}


def encoder_of(tensors: dict[str, Tensor]) -> Encoder:
    """Return the encoder that holds the tensors of a published BERT checkpoint.

    Raises
    ------
    KeyError, RuntimeError
        If a tensor is missing or has another shape.
    """
    words = tensors["embeddings.word_embeddings.weight"]
    inner = tensors["encoder.layer.0.intermediate.dense.weight"].shape[0]
    layers = sum(name.endswith("intermediate.dense.bias") for name in tensors)
    positions = tensors["embeddings.position_embeddings.weight"].shape[0]
    encoder = Encoder(words.shape[0], words.shape[1], inner, layers, positions)
    encoder.load_state_dict({name: tensors[_published(name)] for name in encoder.state_dict()})
    return encoder.eval()


def _published(name: str) -> str:
    module, _, rest = name.partition(".")
    if module != "blocks":
        return f"embeddings.{_EMBEDDINGS[module]}.{rest}"
    number, part, kind = rest.split(".")
    return f"encoder.layer.{number}.{_LAYER[part]}.{kind}"
