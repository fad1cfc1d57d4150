"""Real files, where they are."""

import os
from pathlib import Path

import polars as pl
import pytest


def real(name: str) -> pl.DataFrame:
    """Return a file of QUORUM_TEST_DATA, or skip the test."""
    path = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not here; set QUORUM_TEST_DATA")
    frame = pl.read_parquet(path)
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
