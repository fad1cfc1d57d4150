"""Wall time of `quorum demo` by stage, and the peak memory of its processes."""

import os
import shutil
import subprocess
import sys
import threading

import msgspec
import psutil

from adapters.embedded import erase
from benchmarks.measure import Row, run
from benchmarks.state import DAYS, QUORUM, demo_home

_POLL_SECONDS = 0.25
_LIMIT_SECONDS = 300.0


def measure() -> list[Row]:
    home = demo_home()
    erase(home)
    shutil.rmtree(home, ignore_errors=True)
    demo = subprocess.Popen(
        [*QUORUM, "demo", f"--days={DAYS}", "--json"],
        env={**os.environ, "QUORUM_HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    peaks = _Peaks(psutil.Process(demo.pid))
    peaks.start()
    output, _ = demo.communicate()
    peaks.stop()
    if demo.returncode:
        sys.exit(f"quorum demo ended with {demo.returncode}")
    seconds = msgspec.json.decode(output)["seconds"]
    rows = [
        Row(figure=f"demo, {DAYS} days: {stage}", unit="s", ours=spent)
        for stage, spent in seconds.items()
    ]
    rows.append(
        Row(
            figure=f"demo, {DAYS} days: all stages",
            unit="s",
            ours=sum(seconds.values()),
            beside="the limit",
            theirs=_LIMIT_SECONDS,
        )
    )
    rows.append(
        Row(
            figure="demo: peak memory of its processes",
            unit="MB",
            ours=peaks.tree,
            beside="of its largest process",
            theirs=peaks.largest,
        )
    )
    return rows


class _Peaks:
    """Samples the proportional memory of a process and its descendants (no databases)."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.tree = 0.0
        self.largest = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            sizes = _sizes(self._root)
            self.tree = max(self.tree, sum(sizes))
            self.largest = max(self.largest, *sizes, 0.0)


def _sizes(root: psutil.Process) -> list[float]:
    sizes = []
    try:
        for process in [root, *root.children(recursive=True)]:
            try:
                memory = process.memory_full_info()
            except psutil.Error:
                continue
            sizes.append(getattr(memory, "pss", memory.rss) / 2**20)
    except psutil.NoSuchProcess:
        pass
    return sizes


if __name__ == "__main__":
    run(measure)
