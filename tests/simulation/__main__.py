"""Run seeds of the simulation: ``python -m tests.simulation --seeds 10000``.

A seed that breaks an invariant is printed with the command that replays it; the exit code is 1.
"""

import argparse
import asyncio
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.world import simulate


def attempt(seed: int) -> tuple[int, int, str]:
    """Return a seed, the steps that were checked, and what broke."""
    try:
        return seed, simulate(seed).witness.steps, ""
    except Exception as broken:  # noqa: BLE001 - it is told, and the other seeds go on
        return seed, 0, "\n".join([f"{type(broken).__name__}: {broken}", *broken.__notes__])


def show(line: str) -> None:
    """Print what happens, with the moment."""
    sys.stdout.write(f"{asyncio.get_running_loop().time():8.3f} {line}\n")


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--trace", action="store_true", help="print every fault of the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at the same time")
    arguments = parser.parse_args()
    if arguments.trace:
        simulate(arguments.first, show)
        return 0
    started, steps, broken = time.monotonic(), 0, 0
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for seed, checked, problem in pool.map(attempt, seeds, chunksize=50):
            steps += checked
            if problem:
                broken += 1
                sys.stdout.write(f"seed {seed}: {problem}\n")
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"{len(seeds)} seeds, {steps} steps checked, {broken} broken, {seconds:.0f} s\n"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
