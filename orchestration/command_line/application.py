"""The application: global options, one way to end."""

import sys
import traceback
from importlib.metadata import version
from inspect import cleandoc
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from domain.errors import EnvironmentProblem, QuorumError
from orchestration.command_line.exit_codes import FAULT, INTERRUPTED, OUTPUT_CLOSED

app = typer.Typer(
    name="quorum",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Four agents vote on every trade; every decision is governed, recorded and replayable.",
    epilog="Example: quorum demo",
)
audit = typer.Typer(no_args_is_help=True, help="Check the record, or export it.")
app.add_typer(audit, name="audit", epilog="Example: quorum audit verify")

_errors = Console(stderr=True, highlight=False)
_DEBUG = "--debug"

#: The option every command that prints a result has.
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", metavar="")]


class UnexpectedFault(QuorumError):
    """Something that Quorum did not foresee."""

    exit_code = FAULT


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback)
    if wanted:
        typer.echo(f"quorum {version('quorum')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Show tracebacks; may stand anywhere.", metavar="")
    ] = False,
    version_: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
            metavar="",
        ),
    ] = False,
) -> None:
    """Options before the command's name."""


def main() -> None:
    """Run the command line; `exit_codes` says what it ends with."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are told, not traced, without --debug."""
    register()
    _log_to_standard_error()
    debug = _DEBUG in arguments
    try:
        app([word for word in arguments if word != _DEBUG], prog_name="quorum")
    except SystemExit as leave:
        return _exit_code(leave)
    except Exception as problem:  # noqa: BLE001 - the outermost place: whatever it is, it is told
        if debug:
            traceback.print_exc()
        told = problem if isinstance(problem, QuorumError) else _unforeseen(problem)
        tell(told)
        return told.exit_code
    return 0


def _log_to_standard_error() -> None:
    """Keep standard output for results: what a command's rooms log is none."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def tell(problem: QuorumError) -> None:
    """Print what happened, what was kept safe and what to do next."""
    kind, what, kept, remedy = map(
        escape, (type(problem).__name__, problem.what, problem.kept, problem.next_step)
    )
    if _errors.is_terminal:
        text = f"[bold]{what}[/bold]\n{kept}\n[bold]What to do:[/bold] {remedy}"
        _errors.print(Panel(text, title=kind, title_align="left", border_style="red"))
    else:
        _errors.print(f"{kind}: {what}\n{kept}\nWhat to do: {remedy}", soft_wrap=True)


def _exit_code(leave: SystemExit) -> int:
    if isinstance(leave.__context__, BrokenPipeError):
        return OUTPUT_CLOSED
    if leave.code == INTERRUPTED:
        _errors.print("Interrupted; everything committed is kept.")
    return leave.code if isinstance(leave.code, int) else 0


def _unforeseen(problem: Exception) -> QuorumError:
    kept = "Everything committed is kept."
    if isinstance(problem, OSError) and problem.filename is not None:
        return EnvironmentProblem(
            f"{problem.filename} can't be used: {problem.strerror}.",
            kept=kept,
            next_step="Mend that, or set QUORUM_HOME to another folder; `quorum doctor` checks it.",
        )
    lines = str(problem).strip().splitlines()
    return UnexpectedFault(
        f"A fault in Quorum: {type(problem).__name__}{f': {lines[0]}' if lines else ''}.",
        kept=kept,
        next_step=f"Run the command again with {_DEBUG}, and report what it shows.",
    )


def register() -> None:
    """Import the modules that hold the commands; each adds itself to `app`."""
    from orchestration.command_line import (  # noqa: F401, PLC0415
        agents,
        audit,
        backtest,
        backup,
        controls,
        data,
        dead_letters,
        demo,
        doctor,
        keys,
        lineage,
        live,
        models,
        paper,
        persons,
        platform,
        price_relatives,
        projections,
        record,
        replay,
        review,
        sentiment,
        simulate_life,
        stress,
        succession,
        tables,
        trading,
    )

    groups = (app, *(group.typer_instance for group in app.registered_groups))
    for command in (c for group in groups if group for c in group.registered_commands):
        paragraphs = cleandoc(command.callback.__doc__ or "").split("\n\n")  # type: ignore[union-attr]
        command.help = "\n\n".join(" ".join(lines.split()) for lines in paragraphs)
