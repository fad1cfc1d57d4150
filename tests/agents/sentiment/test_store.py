import polars as pl
import pytest

import agents.sentiment.store as module
from agents.sentiment.ngrams import train_ngrams
from agents.sentiment.reading import LEXICON
from agents.sentiment.store import load_reader, open_reader, reader_folder, save_reader
from agents.sentiment.text_model import train_head
from agents.sentiment.training import ReaderKind, TrainedReader, train_reader
from domain.errors import DataQualityError, EnvironmentProblem, ModelRefused
from domain.metrics import Metric
from domain.settings import HeadlineReader, ServingSettings, Settings

TEXTS = ["zorble day at ACME", "grumple day at ACME", "plain day"]


class Counts:
    def __init__(self):
        self.found = []

    def count(self, metric, **labels):
        assert metric is Metric.SENTIMENT_FALLBACKS
        self.found.append((labels["reader"], labels["reason"]))


def settings_of(home, reader=HeadlineReader.BEST):
    return Settings(home=home, serving=ServingSettings(headline_reader=reader))


@pytest.fixture(scope="module")
def fast(labelled):
    return train_reader(labelled, ReaderKind.FAST, seed=1)


@pytest.fixture
def frozen(labelled, tiny_model, monkeypatch):
    """A reader on the tiny encoder, which stands in for the installed one."""
    monkeypatch.setattr(module, "load_tokenizer", lambda: tiny_model.tokenizer)
    monkeypatch.setattr(module, "load_encoder", lambda: tiny_model.encoder)
    texts, tones = labelled["text"].to_list(), labelled["tone"].to_numpy()
    train_head(tiny_model, tiny_model.embeddings(tiny_model.tokens(texts)), tones, seed=1)
    return TrainedReader(ReaderKind.FROZEN, train_ngrams(texts, tones), tiny_model, {})


def test_quality_is_measured_on_headlines_held_out(fast, labelled):
    metrics = fast.metrics
    assert (
        metrics["headlines_learned"] + metrics["headlines_measured"] == labelled["text"].n_unique()
    )
    assert 5 <= metrics["headlines_measured"] <= 40
    assert metrics["macro_f1"] > 0.9


def test_a_saved_reader_reads_the_same(tmp_path, fast):
    manifest = save_reader(tmp_path, fast, seed=1)
    loaded = load_reader(tmp_path)
    assert loaded.name == f"n-grams {manifest.version}"
    assert (loaded.probabilities(TEXTS) == fast.reader("").probabilities(TEXTS)).all()


@pytest.mark.parametrize("kind", [ReaderKind.FROZEN, ReaderKind.TUNED])
def test_a_saved_text_model_reads_the_same(tmp_path, frozen, kind):
    trained = frozen._replace(kind=kind)
    before = trained.reader("").probabilities(TEXTS)
    manifest = save_reader(tmp_path, trained, seed=1)
    name = {"frozen": "frozen MiniLM", "fine-tuned": "fine-tuned MiniLM"}[kind]
    assert load_reader(tmp_path).name == f"{name} {manifest.version}"
    assert load_reader(tmp_path).probabilities(TEXTS) == pytest.approx(before, abs=1e-6)
    assert load_reader(tmp_path, fast=True).name == f"n-grams {manifest.version}"


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "ngrams.safetensors").write_bytes(b"no tensors"),
        lambda folder: (folder / "ngrams.safetensors").unlink(),
        lambda folder: (folder / "sentiment.json").write_text("{}"),
    ],
)
def test_altered_files_are_refused_and_the_lexicon_answers(tmp_path, fast, harm):
    settings, counts = settings_of(tmp_path), Counts()
    save_reader(reader_folder(settings), fast, seed=1)
    harm(reader_folder(settings))
    with pytest.raises(ModelRefused, match="train-sentiment"):
        load_reader(reader_folder(settings))
    assert open_reader(settings, counts) is LEXICON
    assert counts.found == [("lexicon", "refused")]


def test_the_best_reader_that_is_there_answers_and_falling_back_is_counted(
    tmp_path, frozen, monkeypatch
):
    counts = Counts()
    assert open_reader(settings_of(tmp_path), counts) is LEXICON
    assert counts.found == [("lexicon", "untrained")]
    save_reader(reader_folder(settings_of(tmp_path)), frozen, seed=1)
    assert open_reader(settings_of(tmp_path), counts).name.startswith("frozen MiniLM")
    assert open_reader(settings_of(tmp_path, HeadlineReader.FAST), counts).name.startswith("n-")
    assert open_reader(settings_of(tmp_path, HeadlineReader.LEXICON), counts) is LEXICON
    assert len(counts.found) == 1

    def absent():
        raise EnvironmentProblem("It is not installed.", next_step="Install it.")

    monkeypatch.setattr(module, "load_encoder", absent)
    assert open_reader(settings_of(tmp_path), counts).name.startswith("n-grams")
    assert counts.found[1:] == [("n-grams", "no encoder")]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (pl.DataFrame({"text": ["a"]}), "no column label"),
        (pl.DataFrame({"text": ["a"], "label": ["good"]}), "'good' is not one of"),
        (pl.DataFrame({"text": ["a"], "label": ["neutral"]}), "too few"),
        (pl.DataFrame({"text": [None], "label": ["neutral"]}), "too few"),
    ],
)
def test_headlines_that_can_not_be_learned_from_are_refused(frame, why):
    with pytest.raises(DataQualityError, match=why):
        train_reader(frame, ReaderKind.FAST, seed=1)
