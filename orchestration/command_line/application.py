"""The application: global options, one way to print results, one way to end."""

import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel

from domain.errors import QuorumError

app = typer.Typer(
    name="quorum",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Four agents vote on every trade; every decision is governed, recorded and replayable.",
)
audit = typer.Typer(no_args_is_help=True, help="Check the record.")
app.add_typer(audit, name="audit")

_errors = Console(stderr=True, highlight=False)

#: The option every command that prints a result has.
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback)
    if wanted:
        typer.echo(f"quorum {version('quorum')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version_: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options before the command's name."""


def main() -> None:
    """Run the command line; exit codes are those of `domain.errors`, 130 after Ctrl-C."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are told, not traced, without --debug."""
    _register()
    debug = "--debug" in arguments
    try:
        app(arguments, prog_name="quorum")
    except QuorumError as problem:
        if debug:
            traceback.print_exc()
        tell(problem)
        return problem.exit_code
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    return 0


def tell(problem: QuorumError) -> None:
    """Print what happened, what was kept safe and what to do next."""
    text = (
        f"[bold]{problem.what}[/bold]\n{problem.kept}\n[bold]What to do:[/bold] {problem.next_step}"
    )
    _errors.print(Panel(text, title=type(problem).__name__, title_align="left", border_style="red"))


def _register() -> None:
    """Import the modules that hold the commands; each adds itself to `app`."""
    from orchestration.command_line import (  # noqa: F401, PLC0415
        backtest,
        dead_letters,
        demo,
        doctor,
        models,
        platform,
        record,
        review,
    )
