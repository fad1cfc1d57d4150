"""Planting a mutant into a copy of the project, and seeing whether its tests fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
_IGNORED = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".*_cache", "docs", "dist")
_SECONDS_A_TEST = 60
_ALL_PASSED, _SOME_FAILED = 0, 1

Verdict = Literal["caught", "SURVIVED", "DOES NOT APPLY", "BROKEN"]


def problems(mutant: Mutant) -> list[str]:
    """Return why a mutant proves nothing: its text is gone, or a test that it names."""
    found = (ROOT / mutant.file).read_text().count(mutant.before)
    gone = [f"its text stands {found} times in {mutant.file}"] if found != 1 else []
    for test in mutant.caught_by:
        file, _, name = test.partition("::")
        function = name.partition("[")[0]
        if f"def {function}(" not in (ROOT / file).read_text():
            gone.append(f"there is no test {test}")
    return gone


def copy_project(folder: Path) -> Path:
    """Copy the project, compiled modules included, and return the copy's folder."""
    return shutil.copytree(ROOT, folder / "project", ignore=_IGNORED)


@contextmanager
def planted(mutant: Mutant, project: Path) -> Iterator[None]:
    """Plant a mutant for the block."""
    file = project / mutant.file
    sound = file.read_text()
    file.write_text(sound.replace(mutant.before, mutant.after))
    try:
        yield
    finally:
        file.write_text(sound)


def run_tests(project: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy; returns pytest's exit code and output."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "--timeout", f"{_SECONDS_A_TEST}")
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=project,
        # Written byte code could be taken for that of the next mutant of the same second.
        env={**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout + answer.stderr


def judge(mutant: Mutant, project: Path) -> tuple[Verdict, str]:
    """Return what became of a mutant, and why."""
    if gone := problems(mutant):
        return "DOES NOT APPLY", "; ".join(gone)
    with planted(mutant, project):
        code, output = run_tests(project, mutant.caught_by)
    if code == _SOME_FAILED:
        failed = [line for line in output.splitlines() if line.startswith("FAILED")]
        return "caught", failed[0].split(" - ")[0].removeprefix("FAILED ") if failed else ""
    return "SURVIVED" if code == _ALL_PASSED else "BROKEN", output


def sound(project: Path) -> tuple[bool, str]:
    """Return whether the tests pass where nothing is planted: else they prove nothing."""
    tests = sorted({test for mutant in MUTANTS for test in mutant.caught_by})
    code, output = run_tests(project, tests)
    return code == _ALL_PASSED, output
