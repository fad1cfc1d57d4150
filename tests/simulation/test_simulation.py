"""A thousand seeded runs of the live plane under faults, and that a seed is the whole truth."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.world import simulate

ROOT = Path(__file__).parents[2]
SEEDS = 1_000
_A_TEST = 100


@pytest.mark.parametrize("first", range(0, SEEDS, _A_TEST))
def test_whatever_fails_nothing_is_lost_doubled_reordered_or_altered(first):
    for seed in range(first, first + _A_TEST):
        simulate(seed)


def test_the_runs_are_eventful():
    """Faults that never happen would prove nothing."""
    seen: set[str] = set()

    def note(line: str) -> None:
        seen.update(word for word in line.split() if word in wanted)

    wanted = {"kill", "stall", "refuse", "cut", "usurp", "fault", "flush"}
    worlds = [simulate(seed, note) for seed in range(50)]
    assert seen == wanted
    assert sum(world.lives for world in worlds) > 50 * 8
    assert sum(world.witness.steps for world in worlds) > 50 * 100


def test_a_seed_gives_the_same_run_in_another_process_with_another_hash_seed():
    def trace(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.simulation", "--first", "3", "--trace"]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    first = trace("1")
    assert len(first.splitlines()) > 5
    assert trace("2") == first
