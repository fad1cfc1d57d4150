"""Run every benchmark and rewrite the tables of ``docs/benchmarks.md``."""

import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.measure import Row, table

#: In this order: what comes later uses the models that the demo leaves.
BENCHMARKS = (
    "demo_stages",
    "imports",
    "start_up",
    "decision_latency",
    "engine_throughput",
    "consensus_sustained",
    "consensus_failover",
    "consensus_scale",
    "buses",
    "record_size",
    "vote_latency",
    "model_swap",
    "ab_test",
    "online_learning",
    "controls",
    "execution",
    "stored_decisions",
    "seal_cost",
    "risk",
    "portfolio_optimizer",
    "allocation_walk_forward",
    "price_relatives",
    "paper_gap",
    "monte_carlo",
    "indicators",
    "store_to_frame",
    "quality_checks",
    "alphas",
    "regime",
    "patterns_and_regimes",
    "sentiment",
    "learning",
    "planted_worlds",
    "planted_rule",
    "gate",
)

_PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    """Measure the benchmarks that are named, or all; the others keep their last tables."""
    for name in sys.argv[1:] or BENCHMARKS:
        began, machine = time.perf_counter(), _machine()
        rows = _rows(name)
        told = f"`python -m benchmarks.{name}`, {datetime.now(UTC):%Y-%m-%d}, {machine}."
        _write({_title(name): f"{told}\n\n{table(rows)}"})
        print(f"{name}: {time.perf_counter() - began:.0f} s\n{table(rows)}\n", flush=True)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _write(measured: dict[str, str]) -> None:
    before, _, rest = _PAGE.read_text().partition(_BEGIN)
    kept, _, after = rest.partition(_END)
    sections = dict(part.split("\n\n", 1) for part in kept.strip().split("### ") if part)
    sections |= measured
    titles = [title for title in map(_title, BENCHMARKS) if title in sections]
    parts = [f"### {title}\n\n{sections[title].strip()}" for title in titles]
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{(chr(10) * 2).join(parts)}\n\n{_END}{after}")


def _rows(name: str) -> list[Row]:
    command = (sys.executable, "-m", f"benchmarks.{name}", "--json")
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=list[Row])


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB, load average"
        f" {os.getloadavg()[0]:.1f} before, {platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
