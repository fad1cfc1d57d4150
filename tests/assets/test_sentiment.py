import dagster as dg
import msgspec
import numpy as np
import polars as pl
import pytest

from adapters.metrics import PrometheusMetrics
from agents.sentiment.ngrams import train_ngrams
from agents.sentiment.reading import LEXICON, FastReader
from agents.sentiment.store import open_reader, present_reader, reader_folder
from agents.sentiment.training import LABELS
from assets.invented_headlines import PATTERNS, WORDS, invented_headlines
from assets.records import HeadlineModelFolder
from assets.sentiment import (
    contest,
    enough_held_out,
    headline_reader,
    kind_to_train,
    labelled_rows,
    read_labelled,
)
from assets.written_headlines import written_headlines
from domain.errors import DataQualityError
from domain.settings import ReaderKind, Settings, TrainingSettings
from evaluation.gate import CheckOutcome
from orchestration.definitions import definitions
from orchestration.pipeline import dagster_instance

INVENTED = invented_headlines(7, 1500)


@pytest.fixture(scope="module")
def fast():
    tones = np.array([LABELS[label] for label in INVENTED["label"]])
    return FastReader(train_ngrams(INVENTED["text"].to_list(), tones), "v1")


def settings_of(home, path=None):
    return Settings(home=home, training=TrainingSettings(labelled_headlines=path))


def test_invented_headlines_are_whole_distinct_and_the_same_for_a_seed():
    assert INVENTED["text"].n_unique() == INVENTED.height > 1400
    assert not INVENTED["text"].str.contains("[{}]").any()
    assert INVENTED.equals(invented_headlines(7, 1500))
    assert not INVENTED.equals(invented_headlines(8, 1500))
    counts = INVENTED["label"].value_counts()["count"]
    assert counts.min() > 0.9 * counts.max()


def test_every_slot_of_the_grammar_has_words():
    lines = [line for lines in PATTERNS.values() for line in lines]
    lines += [word for words in WORDS.values() for word in words]
    slots = {slot for line in lines for slot in pl.Series([line]).str.extract_all(r"\{(\w+)\}")[0]}
    assert {slot.strip("{}") for slot in slots} == WORDS.keys()


def test_what_is_judged_on_was_not_taught():
    written = written_headlines()
    assert written["text"].n_unique() == written.height >= 100
    assert written["label"].value_counts()["count"].min() >= 30
    assert not set(written["text"]) & set(invented_headlines(20, 3000)["text"])


def test_invented_headlines_teach_to_read_written_ones_better_than_the_lexicon(fast):
    verdict = contest(fast, LEXICON, written_headlines())
    assert verdict.accepted, verdict.reason
    found = {check.name: check for check in verdict.checks}
    assert found["macro F1"].value > 0.5
    assert (verdict.candidate, verdict.incumbent) == ("n-grams v1", "lexicon")


def test_a_reader_that_is_no_better_or_worse_is_refused(fast):
    same = contest(fast, fast, written_headlines())
    worse = contest(LEXICON, fast, written_headlines())
    for verdict in (same, worse):
        assert not verdict.accepted
        assert verdict.checks[0].outcome is CheckOutcome.FAIL


def test_too_few_held_out_are_no_verdict(fast):
    verdict = contest(fast, LEXICON, written_headlines().head(20))
    assert verdict.checks[0].outcome is CheckOutcome.INCONCLUSIVE
    assert not verdict.accepted


def test_default_labels_are_invented_and_the_written_ones_are_held_out(tmp_path):
    rows = labelled_rows(settings_of(tmp_path))
    assert rows.columns == ["text", "label", "held_out"]
    assert set(rows.filter("held_out")["text"]) == set(written_headlines()["text"])


def test_configured_labels_take_their_place_from_a_file_or_a_folder(tmp_path):
    mixed, half = INVENTED.sample(fraction=1.0, shuffle=True, seed=1), INVENTED.height // 2
    mixed[:half].write_csv(tmp_path / "a.csv")
    mixed[half:].write_parquet(tmp_path / "b.parquet")
    (tmp_path / "notes.txt").write_text("no headlines")
    rows = labelled_rows(settings_of(tmp_path, tmp_path))
    assert set(rows["text"]) == set(INVENTED["text"])
    assert 0.1 < rows["held_out"].mean() < 0.2
    assert labelled_rows(settings_of(tmp_path, tmp_path / "a.csv")).height == half


def test_given_labels_train_the_encoder_where_it_is_installed(tmp_path, monkeypatch):
    given, installed = (
        settings_of(tmp_path, tmp_path),
        "agents.sentiment.pretrained.pretrained_folder",
    )
    monkeypatch.setattr(installed, lambda: tmp_path)
    assert kind_to_train(given) is ReaderKind.FROZEN
    assert kind_to_train(settings_of(tmp_path)) is ReaderKind.FAST
    training = TrainingSettings(headline_model=ReaderKind.TUNED)
    assert kind_to_train(Settings(home=tmp_path, training=training)) is ReaderKind.TUNED
    monkeypatch.setattr(installed, lambda: None)
    assert kind_to_train(given) is ReaderKind.FAST


def test_labels_that_are_not_there_are_told(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataQualityError, match="can't be read"):
            read_labelled(path)


def test_few_held_out_headlines_are_a_warning(tmp_path):
    rows = labelled_rows(settings_of(tmp_path))
    assert enough_held_out(rows).passed
    assert not enough_held_out(rows.filter(~pl.col("held_out"))).passed


def test_the_assets_train_a_model_and_the_analyst_takes_it_up(tmp_path):
    settings = settings_of(tmp_path)
    first = materialised(settings)
    assert first["gate"].accepted, first["gate"].reason
    assert first["model"].metrics["macro_f1"] > 0.55
    assert present_reader(settings).name == first["served"].reader
    assert first["served"].reader == f"n-grams {first['model'].version}"
    assert open_reader(settings, PrometheusMetrics()).name == first["served"].reader
    # The same again is the same model, which is no better than itself: it stays.
    before = (reader_folder(settings) / "sentiment.json").read_bytes()
    second = materialised(settings)
    assert second["model"].version == first["model"].version
    assert not second["served"].accepted
    assert second["served"].reader == first["served"].reader
    assert (reader_folder(settings) / "sentiment.json").read_bytes() == before


def test_a_refused_candidate_leaves_the_lexicon(tmp_path):
    refused = contest(LEXICON, LEXICON, written_headlines())
    folder = HeadlineModelFolder(
        folder=str(tmp_path / "nowhere"), kind="fast", version="x", run_id="r", metrics={},
        data_version="d", code_version="c",
    )  # fmt: skip
    made = headline_reader(folder, refused, settings_of(tmp_path))
    assert made.value.reader == "lexicon"
    assert not made.value.accepted
    assert msgspec.json.decode(msgspec.json.encode(made.value))["reason"].endswith("stays.")


def materialised(settings):
    with dagster_instance(settings) as instance:
        job = definitions(settings).resolve_job_def("sentiment")
        result = job.execute_in_process(instance=instance)
        names = {"gate": "headline_gate", "model": "headline_model", "served": "headline_reader"}
        return {key: result.asset_value(dg.AssetKey(name)) for key, name in names.items()}
