import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sentiment.lexicon import score_headline
from agents.sentiment.ngrams import train_ngrams
from agents.sentiment.reading import LEXICON, FastReader, read
from agents.sentiment.text import BUCKETS, cleaned, hashed_ngrams
from agents.sentiment.training import macro_f1, quality


@pytest.fixture(scope="module")
def fast(labelled):
    return FastReader(train_ngrams(labelled["text"].to_list(), labelled["tone"].to_numpy()), "v1")


@given(st.lists(st.text(max_size=80), max_size=6))
def test_a_text_has_the_same_ngrams_alone_and_among_others(texts):
    together = hashed_ngrams(texts)
    parts = np.split(together.buckets, together.starts[1:])
    for text, part in zip(texts, parts if texts else [], strict=True):
        assert hashed_ngrams([text]).buckets.tolist() == part.tolist()
        assert len(set(part.tolist())) == len(part)
        assert ((part >= 0) & (part < BUCKETS)).all()


def test_case_links_numbers_and_retweet_marks_do_not_count():
    ours = hashed_ngrams(["RT @desk: Profit up 12.5% https://t.co/x1"]).buckets
    assert ours.tolist() == hashed_ngrams(["profit UP 7%"]).buckets.tolist()
    assert ours.tolist() != hashed_ngrams(["profit down 7%"]).buckets.tolist()
    assert cleaned("RT @a: A &amp; B  &lt;up&gt;\nwww.x.com") == "A & B <up>"


def test_ngrams_of_two_words_are_known_to_the_last():
    # 2 words, 1 pair; runs of 3, 4, 5 characters of " ab cd ": 5, 4, 3.
    assert len(hashed_ngrams(["ab cd"]).buckets) == 2 + 1 + 5 + 4 + 3
    assert len(hashed_ngrams(["", " "]).buckets) == 0


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_every_reader_gives_probabilities(fast, texts):
    for reader in (LEXICON, fast):
        found = reader.probabilities(texts)
        assert found.shape == (len(texts), 3)
        assert (found >= 0).all()
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_no_text_is_no_reading(fast):
    assert read(fast, []) == []
    assert read(LEXICON, []) == []


def test_the_fast_reader_learns_words_that_the_lexicon_lacks(fast):
    good, bad, neutral = (
        "Zorble quarter at ACME",
        "Grumple quarter at ACME",
        "Plain quarter at ACME",
    )
    assert score_headline(good) == score_headline(bad) == 0
    scores = [reading.score for reading in read(fast, [good, bad, neutral])]
    assert scores[0] > 0.5
    assert scores[1] < -0.5
    assert abs(scores[2]) < 0.3


def test_training_again_gives_the_same_model(fast, labelled):
    again = train_ngrams(labelled["text"].to_list(), labelled["tone"].to_numpy())
    assert again.weights.equal(fast.model.weights)


def test_macro_f1_and_calibration_are_those_of_scikit_learn():
    # sklearn 1.9.1: f1_score([0,0,1,1,1,2,2], [0,1,1,1,2,2,0], average="macro") = 0.555556.
    tones, predicted = np.array([0, 0, 1, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 2, 0])
    assert macro_f1(predicted, tones) == pytest.approx(0.5555556)
    sure = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    assert quality(sure, np.array([0, 2])) == {
        "macro_f1": pytest.approx(1 / 3, abs=1e-6),
        "brier_score": 1.0,
        "calibration_error": 0.5,
    }
