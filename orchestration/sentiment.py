"""Headline models from a file of labelled headlines."""

from pathlib import Path

import polars as pl

from agents.sentiment.store import Manifest, reader_folder, save_reader
from agents.sentiment.training import ReaderKind, train_reader
from domain.errors import DataQualityError
from domain.settings import Settings


def train_from_file(settings: Settings, file: Path, kind: str) -> tuple[Path, Manifest]:
    """Train on a Parquet or CSV file; return where the models lie, and what they are.

    Raises
    ------
    DataQualityError
        If the file can't be read, or its rows can't be learned from.
    EnvironmentProblem
        If the kind needs the pretrained encoder and it is not installed.
    """
    read = pl.read_csv if file.suffix.lower() == ".csv" else pl.read_parquet
    try:
        headlines = read(file)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise DataQualityError(
            f"{file} can't be read: {str(problem).splitlines()[0]}.",
            next_step="Give a Parquet or CSV file with columns text and label.",
        ) from None
    trained = train_reader(headlines, ReaderKind(kind), seed=settings.seed)
    folder = reader_folder(settings)
    return folder, save_reader(folder, trained, seed=settings.seed)
