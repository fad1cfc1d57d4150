"""The table of a stress test as one HTML page that opens offline."""

from collections.abc import Sequence
from pathlib import Path

from evaluation.report.page import page, write_whole
from evaluation.stress import StressRow


def render_stress_page(rows: Sequence[StressRow]) -> str:
    """Return the page; equal rows give equal bytes."""
    worst = min(rows, key=lambda row: row.platform, default=None)
    return page("stress.html.j2", with_charts=False, rows=rows, worst=worst)


def write_stress_page(rows: Sequence[StressRow], path: Path) -> Path:
    """Write the page to `path`, whole or not at all, and return the path."""
    return write_whole(render_stress_page(rows), path)
