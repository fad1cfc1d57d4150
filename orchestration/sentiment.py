"""Headline models from a file of labelled headlines."""

from pathlib import Path

from agents.sentiment.store import Manifest, reader_folder, save_reader
from agents.sentiment.training import train_reader
from assets.sentiment import read_labelled
from domain.settings import ReaderKind, Settings


def train_from_file(settings: Settings, file: Path, kind: str) -> tuple[Path, Manifest]:
    """Train on a Parquet or CSV file; return where the models lie, and what they are.

    They are taken up without a gate: who calls it has chosen.

    Raises
    ------
    DataQualityError
        If the file can't be read, or its rows can't be learned from.
    EnvironmentProblem
        If the kind needs the pretrained encoder and it is not installed.
    """
    trained = train_reader(read_labelled(file), ReaderKind(kind), seed=settings.seed)
    folder = reader_folder(settings)
    return folder, save_reader(folder, trained, seed=settings.seed)
