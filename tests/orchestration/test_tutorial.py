"""What the tutorial tells a newcomer to type exists, and does what the page says."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from adapters.market_data.folder import FolderMarketData
from domain.settings import Settings
from orchestration.command_line import application

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()

#: Commands that leave at once in an empty state folder, with what they then end with.
QUICK = {
    "quorum --help": 0,
    "quorum doctor": 0,
    "quorum models": 0,
    "quorum status": 1,  # nothing runs, and a script can tell
    "quorum down": 0,
    "quorum decisions --limit 3": 0,
    "quorum decisions --outcome EXECUTE --limit 1 --json": 0,
    "quorum audit verify": 0,
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in blocks("sh") for line in block.splitlines()]


def mentioned():
    return [text for text in re.findall(r"`([^`\n]+)`", PAGE) if text.startswith("quorum ")]


def split(command):
    """Return the variables that a command line sets, and its words."""
    words = shlex.split(command)
    count = next(i for i, word in enumerate(words) if "=" not in word)
    return dict(word.split("=", 1) for word in words[:count]), words[count:]


def parse(arguments):
    """Let each level of the command line read its arguments, without doing anything."""
    application.register()
    command, context, name = typer.main.get_command(application.app), None, "quorum"
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)


@pytest.mark.parametrize("command", [*commands(), *mentioned()])
def test_every_command_exists_and_takes_its_arguments(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decisions.jsonl").touch()
    variables, (program, *arguments) = split(command)
    known = {f"QUORUM_{name.upper()}" for name in Settings.model_fields}
    assert set(variables) <= known
    if program == "make":
        assert re.search(rf"^{arguments[0]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "source":
        assert arguments == [".venv/bin/activate"]
    elif "--help" not in arguments:
        assert program == "quorum"
        parse(arguments)


@pytest.mark.parametrize("command", QUICK)
def test_quick_commands_end_well_before_anything_was_run(command):
    assert command in commands()
    assert application.run(command.split()[1:]) == QUICK[command]


def test_what_an_export_says_is_checked_without_a_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export, verify = (line for line in commands() if "decisions.jsonl" in line)
    assert application.run(export.split()[1:]) == 0
    assert application.run(verify.split()[1:]) == 0


def test_the_csv_of_the_page_is_read_without_a_defect(tmp_path):
    (tmp_path / "MINE.csv").write_text(*blocks("csv"))
    rows = FolderMarketData(tmp_path).read()
    assert rows["symbol"].unique().to_list() == ["MINE"]
    assert rows["defect"].is_null().all()


def test_links_and_files_are_there():
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists()
    for path in re.findall(r"`(tests/[^`]+)`", PAGE):
        assert (ROOT / path).exists()
