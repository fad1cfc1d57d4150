"""Whether the record is intact, and proofs of what it holds."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from consensus.audit import Audit
from domain.errors import InvalidValue, MessageRefused, RecordDamaged
from domain.ports.ledger import Log
from domain.settings import load_settings
from orchestration.command_line.application import Json, audit
from orchestration.command_line.printing import console, print_fields, print_json

#: The option every command that checks a signature has.
PublicKey = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="The record's public key (PEM); without it, this state folder's.",
    ),
]
_Output = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Write it to this file instead.")
]


@audit.command("verify", epilog="Example: quorum audit verify --export decisions.jsonl")
def verify(
    *,
    export: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Check an export instead.")
    ] = None,
    key: PublicKey = None,
    as_json: Json = False,
) -> None:
    """Check every event, chain, tree and kept head; ends with 7 and the first bad position."""
    from orchestration.audit import audit_record  # noqa: PLC0415 (keeps the command line quick)

    settings = load_settings()
    audits = (
        audit_record(settings) if export is None else _verify_export(export, key, as_json=as_json)
    )
    if as_json:
        print_json(
            {
                name: {
                    "sound": found.sound,
                    "events": found.events,
                    "log_hash": found.log_hash,
                    "tree_heads": found.known,
                    "findings": found.findings,
                }
                for name, found in audits.items()
            }
        )
    else:
        for name, found in audits.items():
            mark = "[green]sound[/green]" if found.sound else "[red]damaged[/red]"
            console.print(
                f"{escape(name):<10} {mark}  {found.events} events  {found.log_hash}  "
                f"{found.known} signed tree heads fit"
            )
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


def _verify_export(export: Path, key: Path | None, *, as_json: bool) -> dict[str, Audit]:
    from orchestration.audit import audit_export, head_beside  # noqa: PLC0415
    from orchestration.tree_heads import checked_heads  # noqa: PLC0415

    settings = load_settings()
    public = None
    if key is not None or head_beside(export).exists():
        public = public_key(key)
    elif not as_json:
        console.print(
            "No signed head stands beside it: a cut at its end can't be seen.", style="yellow"
        )
    try:
        kept = checked_heads(settings) if key is None and public is not None else []
        return {export.name: audit_export(export, public, kept)}
    except MessageRefused as problem:
        raise RecordDamaged(
            problem.what, kept=problem.kept, next_step=problem.next_step
        ) from problem


@audit.command("export", epilog="Example: quorum audit export decisions decisions.jsonl")
def export_log(
    log: Annotated[Log, typer.Argument(help="Which log.")],
    file: Annotated[Path, typer.Argument(help="Where to write it, one event a line.")],
    *,
    as_json: Json = False,
) -> None:
    """Write a log, and a signed head beside it, for `quorum audit verify --export` anywhere."""
    from orchestration.audit import export_log as export_to  # noqa: PLC0415
    from orchestration.audit import head_beside  # noqa: PLC0415

    count = export_to(load_settings(), log, file)
    if as_json:
        print_json({"log": log, "events": count, "file": file, "head": head_beside(file)})
    else:
        console.print(f"{count} events written to {escape(str(file))}", soft_wrap=True)


@audit.command("sign", epilog="Example: quorum audit sign")
def sign(*, as_json: Json = False) -> None:
    """Sign where every log stands now, and keep that outside the database."""
    from orchestration.tree_heads import heads_folder, sign_head  # noqa: PLC0415

    settings = load_settings()
    head = sign_head(settings)
    if as_json:
        print_json(head)
        return
    statement = head.statement
    trees = {f"{t.log}/{t.partition}": f"{t.sequence} {t.root.hex()}" for t in statement.trees}
    signed = f"{statement.signed_at:%Y-%m-%d %H:%M:%S} UTC"
    print_fields({"head": statement.number, "signed": signed, **trees})
    console.print(f"Kept in {escape(str(heads_folder(settings)))}", soft_wrap=True)


@audit.command("key", epilog="Example: quorum audit key --output record-public.pem")
def key(*, output: _Output = None, as_json: Json = False) -> None:
    """Print the public key by which anybody can check heads and proofs."""
    from adapters.record_key import public_pem  # noqa: PLC0415

    pem = public_pem(public_key(None))
    if as_json and output is None:
        print_json({"public_key": pem.decode()})
    else:
        _write(pem, output, as_json=as_json)


@audit.command("prove", epilog="Example: quorum audit prove 798ff0fa-… --output proof.json")
def prove(
    decision: Annotated[str, typer.Argument(help="A decision or proposal.")],
    *,
    output: _Output = None,
    as_json: Json = False,
) -> None:
    """Print, as JSON, the proof that a decision is on record under the newest signed head."""
    from orchestration.tree_heads import prove as proof_of  # noqa: PLC0415

    _write(
        msgspec.json.encode(proof_of(load_settings(), decision)) + b"\n", output, as_json=as_json
    )


@audit.command("prove-growth", epilog="Example: quorum audit prove-growth 1 --output growth.json")
def prove_growth(
    older: Annotated[int, typer.Argument(min=1, help="Number of the older head.")],
    newer: Annotated[
        int | None, typer.Argument(min=1, help="Number of the newer head; without it the newest.")
    ] = None,
    *,
    output: _Output = None,
    as_json: Json = False,
) -> None:
    """Print, as JSON, the proof that since a signed head the record has only grown."""
    from orchestration.tree_heads import prove_growth as proof_of  # noqa: PLC0415

    _write(
        msgspec.json.encode(proof_of(load_settings(), older, newer)) + b"\n",
        output,
        as_json=as_json,
    )


@audit.command("check-proof", epilog="Example: quorum audit check-proof proof.json --key k.pem")
def check_proof(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The proof.")],
    *,
    key: PublicKey = None,
    as_json: Json = False,
) -> None:
    """Check a proof with nothing but the public key; ends with 7 if it does not hold."""
    from consensus.tree_heads import Inclusion, Proof, proof_problems  # noqa: PLC0415

    try:
        proof = msgspec.json.decode(file.read_bytes(), type=Proof)
    except msgspec.DecodeError as problem:
        raise InvalidValue(
            f"{file} is no proof: {problem}.",
            next_step="`quorum audit prove` and `quorum audit prove-growth` write them.",
        ) from None
    problems = proof_problems(proof, public_key(key))
    if isinstance(proof, Inclusion):
        head, told = proof.head, f"event {proof.sequence} of {proof.log}/{proof.partition}"
    else:
        head = proof.newer
        told = f"the record at head {proof.older.statement.number}"
    number = head.statement.number
    if as_json:
        print_json({"holds": not problems, "head": number, "problems": problems})
    if problems:
        raise RecordDamaged(
            f"The proof does not hold: {'; '.join(problems)}.",
            next_step="Ask for a new proof, and for the right public key.",
        )
    if not as_json:
        signed = f"{head.statement.signed_at:%Y-%m-%d %H:%M:%S} UTC"
        console.print(f"The proof holds: head {number}, signed {signed}, covers {told}.")


def public_key(file: Path | None) -> bytes:
    """Return the key of a file, or without one the public half of this state folder's."""
    from adapters.record_key import private_key, read_public_key  # noqa: PLC0415
    from consensus.signatures import public_key_of  # noqa: PLC0415

    if file is not None:
        return read_public_key(file)
    return public_key_of(private_key(load_settings().home))


def _write(data: bytes, output: Path | None, *, as_json: bool) -> None:
    if output is None:
        typer.echo(data, nl=False)
        return
    output.write_bytes(data)
    if as_json:
        print_json({"file": output})
    else:
        console.print(f"Written to {escape(str(output))}", soft_wrap=True)
