"""What a run found in the data: one page a run, and the history of all, which open offline."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from domain.messages import Value
from evaluation.report.page import page, write_whole


class Outcome(StrEnum):
    """How a check ended: what failed stopped the run, what warned did not."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"


class Expectation(Value, frozen=True, kw_only=True):
    """One expectation of a suite; `examples` are values that broke it."""

    expectation: str
    column: str
    met: bool
    unexpected: int
    examples: str


class QualityCheck(Value, frozen=True, kw_only=True):
    """A check of one asset, in one sentence, and its expectations if it is a suite."""

    asset: str
    name: str
    outcome: Outcome
    sentence: str
    expectations: tuple[Expectation, ...] = ()


class Quarantined(Value, frozen=True, kw_only=True):
    """Rows of one data set that were set aside for one reason."""

    dataset: str
    reason: str
    rows: int
    example: str


class Kept(Value, frozen=True, kw_only=True):
    """A table as it is now."""

    table: str
    rows: int
    symbols: int
    first: str
    last: str
    version: str


class QualityReport(Value, frozen=True, kw_only=True):
    """What one run's checks found."""

    run_id: str
    started_at: datetime
    checks: tuple[QualityCheck, ...]
    quarantined: tuple[Quarantined, ...] = ()
    tables: tuple[Kept, ...] = ()

    def count(self, outcome: str) -> int:
        """Return how many checks ended so."""
        return sum(check.outcome == outcome for check in self.checks)

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of all checks."""
        for worst in (Outcome.FAILED, Outcome.WARNED):
            if self.count(worst):
                return worst
        return Outcome.PASSED

    @property
    def rows_quarantined(self) -> int:
        """Rows that were set aside."""
        return sum(each.rows for each in self.quarantined)

    @property
    def name(self) -> str:
        """The page's file name without its suffix; names sort by time."""
        return f"{self.started_at:%Y-%m-%dT%H%M%S}-{self.run_id[:8]}"


def render_report(report: QualityReport) -> str:
    """Return the page; equal reports give equal bytes."""
    return page("data_quality.html.j2", with_charts=False, report=report)


def render_history(reports: list[QualityReport]) -> str:
    """Return the page that lists all runs, the newest first."""
    newest_first = sorted(reports, key=lambda each: each.name, reverse=True)
    return page("data_quality_history.html.j2", with_charts=False, reports=newest_first)


def write_report(report: QualityReport, folder: Path) -> Path:
    """Write page and JSON into `folder`, make ``index.html`` again, and return the page's path."""
    write_whole(msgspec.json.encode(report).decode(), folder / f"{report.name}.json")
    path = write_whole(render_report(report), folder / f"{report.name}.html")
    write_whole(render_history(read_reports(folder)), folder / "index.html")
    return path


def read_reports(folder: Path) -> list[QualityReport]:
    """Return the reports that were written into `folder`."""
    files = sorted(folder.glob("*.json"))
    return [msgspec.json.decode(file.read_bytes(), type=QualityReport) for file in files]
