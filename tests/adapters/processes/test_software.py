import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.processes.software import software_of
from domain.settings import Settings

ROOT = Path(__file__).parents[3]
SAY = (
    "from adapters.processes.software import software_of; from domain.settings import Settings;"
    "print(software_of(Settings()))"
)


def test_equal_workers_say_the_same(tmp_path):
    here = Settings(home=tmp_path, metrics_port=1, log_level="DEBUG", clock="event")
    assert software_of(here) == software_of(Settings())
    written_otherwise = {"price_collar": "0.100", "lot_sizes": {"B": "1.0", "A": "2"}}
    plainly = {"price_collar": "0.1", "lot_sizes": {"A": "2", "B": "1"}}
    assert software_of(Settings(trading=written_otherwise)) == software_of(
        Settings(trading=plainly)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"trading": {"maximum_order_value": 1}},
        {"consensus": {"execute_at_weighted_score": 76}},
        {"partitions": 2},
    ],
)
def test_other_rules_or_limits_are_another_software(changes):
    assert software_of(Settings(**changes)) != software_of(Settings())


def test_one_changed_line_of_code_is_another_software(tmp_path):
    rooms = ("adapters", "agents", "consensus", "domain", "serving", "trading")
    for room in rooms:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.pyc"))
    alike = _said(tmp_path)
    assert alike == software_of(Settings())
    with (tmp_path / "trading" / "children.py").open("a") as old_code:
        old_code.write("POWER_PEG = True\n")
    assert _said(tmp_path) != alike


def _said(root):
    environment = {"PYTHONPATH": str(root), "PATH": "", "HOME": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        cwd=root,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
