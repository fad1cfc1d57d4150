import numpy as np
import polars as pl
import pytest

from agents.sentiment.store import load_reader, reader_folder
from domain.errors import DataQualityError
from domain.settings import Settings
from orchestration.sentiment import train_from_file


@pytest.fixture(scope="module")
def headlines():
    random = np.random.default_rng(1)
    words = {"negative": "slumps", "neutral": "meets", "positive": "soars"}
    rows = [
        (f"{'ABCD'[random.integers(4)]}CME {word} {'xyz'[number % 3] * number}", label)
        for number in range(1, 41)
        for label, word in words.items()
    ]
    return pl.DataFrame(rows, schema=["text", "label"], orient="row")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_labelled_headlines_becomes_the_reader(tmp_path, headlines, kind):
    file = tmp_path / f"headlines.{kind}"
    getattr(headlines, f"write_{kind}")(file)
    settings = Settings(home=tmp_path / "home")
    folder, manifest = train_from_file(settings, file, "fast")
    assert folder == reader_folder(settings)
    assert manifest.metrics["macro_f1"] > 0.9
    assert load_reader(folder).name == f"n-grams {manifest.version}"
    assert load_reader(folder).probabilities(["ECME soars"]).argmax() == 2


def test_a_file_that_is_none_is_told(tmp_path):
    file = tmp_path / "headlines.parquet"
    file.write_text("no parquet")
    with pytest.raises(DataQualityError, match="can't be read"):
        train_from_file(Settings(home=tmp_path), file, "fast")
