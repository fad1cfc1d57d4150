"""docs/controls.md maps every control to a rule and to a test, and both are there."""

import re
from pathlib import Path

import pytest

from tests.trading.test_controls import BOUNDARIES
from trading.controls import CONTROLS
from trading.limits import LIMITS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "controls.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
#: Control → what it refuses, the rule that it answers to, its tests.
MAPPED = {name: row[1:] for row in ROWS if len(row) == 4 for name in re.findall(r"`(\w+)`", row[0])}
#: What is no control of the table, and denies orders all the same.
DENYING = set(
    re.findall(
        r"(?:denied\(|control=|_limited\()\s*\"(\w+)\"",
        "".join(path.read_text() for path in (ROOT / "trading").rglob("*.py")),
    )
)


def test_every_control_stands_in_the_page_once():
    names = [name for row in ROWS if len(row) == 4 for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(set(names))
    assert {control.__name__ for control in CONTROLS} <= set(names)


def test_whatever_denies_an_order_stands_in_the_page():
    assert len(DENYING) >= len(CONTROLS)
    assert set(MAPPED) >= DENYING


@pytest.mark.parametrize("name", sorted(MAPPED))
def test_each_names_its_rule_and_tests_that_are_there_and_speak_of_it(name):
    refuses, rule, tests = MAPPED[name]
    assert refuses
    assert re.search(r"Art\. \d+|15c3-5|own prudence", rule)
    found = re.findall(r"`(?:(test_\w+\.py)(?:::)?)?(test_\w+)?`", tests)
    for file, function in found:
        text = (ROOT / "tests" / "trading" / (file or "test_controls.py")).read_text()
        assert name in text, f"{file} does not speak of {name}"
        assert f"def {function}(" in text if function else True
    in_boundaries = name in {case[0] for case in BOUNDARIES}
    assert ("boundary table" in tests) <= in_boundaries
    assert found or in_boundaries


def test_every_limit_that_can_change_is_listed():
    (section,) = re.findall(r"## Changing a limit\n(.*?)\n## ", PAGE, re.DOTALL)
    assert set(LIMITS) == set(re.findall(r"`([a-z_]+)`", section)) & set(LIMITS)


def test_the_number_of_controls_is_told_right():
    assert f"all {len(CONTROLS)} controls" in PAGE
