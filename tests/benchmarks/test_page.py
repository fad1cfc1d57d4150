"""The page of benchmarks names every benchmark that is run, and none that is not there."""

import re
from pathlib import Path

from benchmarks.__main__ import BENCHMARKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()


def test_every_benchmark_has_a_row_and_every_row_a_module():
    rows = re.findall(r"^\| `benchmarks\.(\w+)`", PAGE, flags=re.MULTILINE)
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert len(rows) == len(set(rows))
    assert set(BENCHMARKS) <= set(rows) <= modules


def test_every_table_is_of_a_benchmark_that_is_there():
    measured = re.findall(r"^`python -m benchmarks\.(\w+)`", PAGE, flags=re.MULTILINE)
    assert measured
    assert set(measured) <= set(BENCHMARKS)
