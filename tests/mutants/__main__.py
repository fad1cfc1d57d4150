"""Plant every mutant, one after the other: ``python -m tests.mutants [part of a name]``.

The exit code is 1 if one survives, or no longer applies.
"""

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.runner import Verdict, copy_project, judge, sound


def main() -> int:
    """Judge the mutants whose name holds the argument; returns the exit code."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    mutants = [mutant for mutant in MUTANTS if wanted in mutant.name]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quorum-mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        workers = os.cpu_count() or 1
        for number in range(workers):
            copies.put(copy_project(Path(folder) / f"{number}"))

        def judged(mutant: Mutant) -> Verdict:
            project = copies.get()
            try:
                verdict, why = judge(mutant, project)
            finally:
                copies.put(project)
            sys.stdout.write(f"{verdict:9} {mutant.name}: {why}\n")
            sys.stdout.flush()
            return verdict

        with ThreadPoolExecutor(workers) as pool:
            first = pool.submit(sound, copy_project(Path(folder) / "sound"))
            caught = list(pool.map(judged, mutants)).count("caught")
            passes, output = first.result()
    if not passes:
        sys.stdout.write(f"{output}\nThe tests fail though nothing is planted.\n")
        return 1
    seconds = time.monotonic() - started
    sys.stdout.write(f"{caught} of {len(mutants)} mutants caught, {seconds:.0f} s\n")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
