"""The command line as scripts and people meet it: help, JSON, exit codes, pipes, narrow screens."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from domain.errors import QuorumError
from orchestration.command_line import doctor, printing
from orchestration.command_line.application import app, register, run
from orchestration.command_line.exit_codes import EXIT_CODES
from orchestration.command_line.printing import print_json, print_table
from orchestration.command_line.reference import page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command-line.md"


def commands(group=None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    register()
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def quorum(*arguments: str, environment: dict[str, str] | None = None, **options):
    return subprocess.run(
        [sys.executable, "-c", "from orchestration.command_line import main; main()", *arguments],
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
        check=False,
        **{"capture_output": True, "text": True, **options},
    )


def test_the_page_lists_what_there_is():
    assert PAGE.read_text() == page(), (
        "run: python -m orchestration.command_line.reference > docs/command-line.md"
    )


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(path, capsys):
    assert run([*path, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Example: QUORUM_HOME=~/desk quorum {' '.join(path)}" in told or (
        f"Example: quorum {' '.join(path)}" in told
    )


def test_the_examples_are_of_options_that_exist():
    for path, command in COMMANDS.items():
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word for word in command.epilog.split() if word.startswith("--")}
        assert used <= known, path


def test_every_command_that_prints_a_result_can_print_json():
    without = {
        path
        for path, command in COMMANDS.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == {("up",)}


def test_every_error_ends_with_a_code_that_is_documented():
    register()
    kinds, found = [QuorumError], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.add(kind.exit_code)
    assert found <= EXIT_CODES.keys()


def test_help_is_light():
    heavy = "torch dagster polars numpy pandas mlflow sqlalchemy psycopg httpx scipy pyarrow"
    code = (
        "import sys; from orchestration.command_line.application import run;"
        f"run(['--help']); print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert told.stdout.splitlines()[-1] == "[]"


def test_completion_offers_commands_and_values():
    told = quorum(
        environment={
            "_QUORUM_COMPLETE": "complete_bash",
            "COMP_WORDS": "quorum de",
            "COMP_CWORD": "1",
        }
    )
    assert set(told.stdout.split()) == {"dead-letters", "decisions", "demo"}
    told = quorum(
        environment={
            "_QUORUM_COMPLETE": "complete_bash",
            "COMP_WORDS": "quorum models --agent ",
            "COMP_CWORD": "3",
        }
    )
    assert "risk_manager" in told.stdout.split()


def test_a_result_is_one_json_document(capsys):
    assert run(["doctor", "--settings", "--json"]) == 0
    told = capsys.readouterr()
    assert "QUORUM_HOME" in json.loads(told.out)
    assert not told.err


def test_an_error_leaves_standard_output_empty(capsys):
    assert run(["backtest", "--json"]) == 3
    told = capsys.readouterr()
    assert not told.out
    assert "No bar is stored" in told.err


def test_a_foreseen_error_shows_no_traceback_without_debug(capsys):
    assert run(["backtest"]) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert run(["backtest", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (RuntimeError("[/bold] odd"), 70, "A fault in Quorum: RuntimeError: [/bold] odd."),
        (PermissionError(13, "Permission denied", "/x/y"), 4, "/x/y can't be used: Permission den"),
        (OSError(28, "No space left on device", "/x"), 4, "No space left on device"),
    ],
)
def test_what_nobody_foresaw_is_told_and_not_traced(monkeypatch, capsys, problem, code, says):
    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(doctor, "setting_names", fail)
    assert run(["doctor", "--settings"]) == code
    told = capsys.readouterr().err
    assert says in told
    assert "What to do:" in told
    assert "Traceback" not in told


def test_a_reader_that_goes_away_ends_it_quietly():
    read, write = os.pipe()
    os.close(read)
    told = quorum(
        "doctor", "--settings", capture_output=False, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert told.returncode == 141
    assert not told.stderr


def test_closed_standard_input_and_output_do_no_harm():
    command = f"{sys.executable} -c 'from orchestration.command_line import main; main()'"
    told = subprocess.run(
        ["/bin/sh", "-c", f"{command} doctor --settings <&- >&-"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")


ROWS = [("a" * 36, "one [/bold] two", 1.5), ("b" * 36, "three", 22)]


def test_a_pipe_gets_a_row_a_line(capsys):
    print_table("Things", ("id", "words", "number"), ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].split() == ["a" * 36, "one", "[/bold]", "two", "1.5"]


def test_a_narrow_terminal_gets_paragraphs_and_loses_nothing(monkeypatch, capsys):
    monkeypatch.setattr(printing.console, "width", 50)
    print_table("Things", ("id", "words", "number"), ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert "words one [/bold] two · number 1.5" in " ".join(" ".join(lines).split())


def test_an_empty_table_says_so(capsys):
    print_table("Things", ("id",), [], empty="There is nothing yet.")
    assert capsys.readouterr().out == "There is nothing yet.\n"


def test_json_is_printed_as_it_is(capsys):
    print_json({"markup": "[bold]x[/bold]", "path": Path("/a"), "long": "y" * 500})
    told = json.loads(capsys.readouterr().out)
    assert told == {"markup": "[bold]x[/bold]", "path": "/a", "long": "y" * 500}


def test_80_columns_are_enough_for_the_help_of_every_command():
    told = quorum("demo", "--help", environment={"COLUMNS": "80"})
    assert max(map(len, told.stdout.splitlines())) <= 80
