"""What every benchmark shares: alternate measurement, one row, one table."""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beside its peer's, or beside a limit.

    `digits` are the significant ones that are shown, where it matters.
    """

    figure: str
    unit: str
    ours: float
    beside: str = ""
    theirs: float | None = None
    digits: int | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.theirs else None


def alternately(
    measurements: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Measure each in turn, `rounds` times, so that the machine's moods meet all alike."""
    found: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            found[name].append(measure())
    return found


async def alternately_async(
    measurements: Mapping[str, Callable[[], Awaitable[float]]], rounds: int
) -> dict[str, list[float]]:
    """As `alternately`, inside a running loop."""
    found: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            found[name].append(await measure())
    return found


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def cpu_of_imports(code: str) -> float:
    """Return the CPU time of a new interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def stopwatch():
    """Yield a list that holds the seconds of the block once it has ended."""
    seconds: list[float] = []
    began = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - began)


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| figure | ours | beside it | its figure | ratio | unit |",
        "|---|---:|---|---:|---:|---|",
    ]
    for row in rows:
        theirs = "" if row.theirs is None else _number(row.theirs, row.digits)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(
            f"| {row.figure} | {_number(row.ours, row.digits)} | {row.beside} | {theirs} | {ratio}"
            f" | {row.unit} |"
        )
    return "\n".join(lines)


def _number(value: float, digits: int | None) -> str:
    if digits is not None:
        return f"{value:.{digits}g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def run(measure: Callable[[], Sequence[Row]]) -> None:
    """Measure, and print a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    as_json = parser.parse_args().json
    rows = measure()
    # NumPy's floats are Python's too, but not to msgspec.
    print(msgspec.json.encode(rows, enc_hook=float).decode() if as_json else table(rows))
