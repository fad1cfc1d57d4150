"""The page of all commands and exit codes.

``python -m orchestration.command_line.reference > docs/command-line.md`` writes that page.
"""

import sys
from collections.abc import Iterator

import typer

from orchestration.command_line.application import app, register
from orchestration.command_line.exit_codes import EXIT_CODES

_HEAD = """# The command line

This page is made from the commands themselves:
`python -m orchestration.command_line.reference > docs/command-line.md`.

Results go to standard output, progress and errors to standard error; with `--json` standard output
is one JSON document and nothing else. `quorum --install-completion` teaches your shell the
commands. Errors say what happened, what was kept safe and what to do; `--debug`, anywhere on the
line, adds the traceback. `quorum doctor --settings` lists the settings (`QUORUM_*` variables).
"""


def page() -> str:
    """Return `docs/command-line.md`."""
    register()
    root = typer.main.get_command(app)
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    return (
        f"{_HEAD}\n## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}\n## Commands\n\n"
        + "\n".join(_sections(root, "quorum"))
    )


def _sections(group: typer.core.TyperGroup, path: str) -> Iterator[str]:  # type: ignore[name-defined]
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _sections(command, f"{path} {name}")
        else:
            yield _section(f"{path} {name}", command)


def _section(path: str, command: typer.core.TyperCommand) -> str:  # type: ignore[name-defined]
    rows = "".join(_row(parameter) for parameter in command.params)
    example = (command.epilog or "").removeprefix("Example: ")
    table = f"| option | what it does |\n|---|---|\n{rows}\n" if rows else ""
    return f"### `{path}`\n\n{command.help}\n\n{table}```\n{example}\n```\n"


def _row(parameter: typer.core.TyperArgument | typer.core.TyperOption) -> str:  # type: ignore[name-defined]
    name = ", ".join(parameter.opts) if parameter.opts[0].startswith("-") else parameter.name
    return f"| `{name}` | {parameter.help or ''} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
