"""What was decided, why, and whether the record is intact."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from domain.errors import MessageRefused, QuorumError
from domain.ports.ledger import Log
from domain.settings import load_settings
from domain.voting import Outcome
from orchestration.command_line.application import Json, app, audit
from orchestration.command_line.exit_codes import RECORD_DAMAGED
from orchestration.command_line.figures import print_last, print_throughput
from orchestration.command_line.printing import console, print_json, print_table


class RecordDamaged(QuorumError):
    """The record's hash chain does not hold."""

    exit_code = RECORD_DAMAGED


@app.command(epilog="Example: quorum decisions --symbol AAPL --outcome EXECUTE --limit 5")
def decisions(
    *,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only this outcome.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    last: Annotated[
        bool, typer.Option("--last", help="Each symbol's last one, with its price now.", metavar="")
    ] = False,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Count those of the last so many minutes instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List decisions, oldest first, with the reason and both figures of the rule."""
    from orchestration.record import read_side  # noqa: PLC0415 (keeps the command line quick)

    if last:
        print_last(symbol, as_json=as_json)
        return
    if per_minute is not None:
        print_throughput(per_minute, as_json=as_json)
        return
    with read_side(load_settings()) as queries:
        found = queries.decisions(symbol=symbol, outcome=outcome, limit=limit)
    if as_json:
        print_json(found.to_dicts())
        return
    columns = (
        "id",
        "when",
        "symbol",
        "action",
        "quantity",
        "score",
        "variance",
        "outcome",
        "reason",
    )
    rows = (
        (
            row["decision_id"],
            f"{row['occurred_at']:%Y-%m-%d %H:%M}",
            row["symbol"],
            row["action"],
            f"{row['quantity']:g}",
            "" if row["weighted_score"] is None else f"{row['weighted_score']:.1f}",
            "" if row["variance"] is None else f"{row['variance']:.1f}",
            row["outcome"],
            row["reason"],
        )
        for row in found.iter_rows(named=True)
    )
    print_table(
        f"Decisions: {found.height}",
        columns,
        rows,
        empty="No such decision is on record; `quorum demo` or `quorum up` makes some.",
    )


@app.command(epilog="Example: quorum explain 5f0c1e")
def explain(
    identifier: Annotated[
        str,
        typer.Argument(
            help="A decision, proposal, vote, order, fill or tick: its id, or how that begins."
        ),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Print the whole walk of one decision or order: tick, votes, rule, order, fills, P&L.

    With model and data versions, training runs, hashes and places in the logs. Where an id is not
    told in full and several begin so, they are listed, and the command ends with 2.
    """
    from orchestration.command_line.walk import print_candidates, print_walk  # noqa: PLC0415
    from orchestration.walks import find_walk  # noqa: PLC0415

    found = find_walk(load_settings(), identifier)
    if isinstance(found, list):
        print_candidates(found, as_json=as_json)
        raise typer.Exit(2)
    if as_json:
        print_json(found)
    else:
        print_walk(found)


@audit.command("verify", epilog="Example: quorum audit verify --export decisions.jsonl")
def verify(
    *,
    export: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Check an export instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the hash chain of every log; ends with 7 and the first bad position if it broke."""
    from consensus.audit import read_export  # noqa: PLC0415
    from consensus.audit import verify as verify_entries  # noqa: PLC0415

    if export is not None:
        try:
            with export.open("rb") as lines:
                audits = {export.name: verify_entries(read_export(lines))}
        except MessageRefused as problem:
            raise RecordDamaged(
                problem.what, kept=problem.kept, next_step=problem.next_step
            ) from problem
    else:
        from orchestration.record import audit_logs  # noqa: PLC0415

        audits = audit_logs(load_settings())
    if as_json:
        print_json(
            {
                name: {
                    "sound": found.sound,
                    "events": found.events,
                    "log_hash": found.log_hash,
                    "findings": found.findings,
                }
                for name, found in audits.items()
            }
        )
    else:
        for name, found in audits.items():
            mark = "[green]sound[/green]" if found.sound else "[red]damaged[/red]"
            console.print(f"{escape(name):<10} {mark}  {found.events} events  {found.log_hash}")
    damaged = [f for found in audits.values() for f in found.findings]
    if damaged:
        first = damaged[0]
        raise RecordDamaged(
            f"Log {first.log}, partition {first.partition}: event {first.sequence} was "
            f"{first.fault}: {first.explanation}.",
            kept="Nothing was changed; what stands before it is sound.",
            next_step="Stop trading, keep the database as it is, and restore from a backup."
            if export is None
            else "Check the database itself (`quorum audit verify`), and export it again.",
        )


@audit.command("export", epilog="Example: quorum audit export decisions decisions.jsonl")
def export_log(
    log: Annotated[Log, typer.Argument(help="Which log.")],
    file: Annotated[Path, typer.Argument(help="Where to write it, one event a line.")],
    *,
    as_json: Json = False,
) -> None:
    """Write a log to a file that `quorum audit verify --export` checks on any machine."""
    from orchestration.record import export_log as export_to  # noqa: PLC0415

    count = export_to(load_settings(), log, file)
    if as_json:
        print_json({"log": log, "events": count, "file": file})
    else:
        console.print(f"{count} events written to {escape(str(file))}", soft_wrap=True)
