"""`quorum dead-letters`: messages that could not be processed, and what to do about them."""

import base64
from typing import Annotated, Any

import msgspec
import typer

from domain.ports.ledger import StoredLetter
from domain.settings import load_settings
from domain.streams import Stream
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import Actor, acting, stated
from orchestration.command_line.printing import console, print_fields, print_json, print_table

dead_letters = typer.Typer(
    no_args_is_help=True, help="Messages that could not be processed: look, redrive, discard."
)
app.add_typer(dead_letters, name="dead-letters", epilog="Example: quorum dead-letters list")

_Numbers = Annotated[list[int], typer.Argument(help="Numbers, as `list` shows them.")]


@dead_letters.command("list", epilog="Example: quorum dead-letters list --stream votes")
def list_letters(
    *,
    stream: Annotated[Stream | None, typer.Option(help="Only of this stream.")] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also those that were redriven or discarded.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the dead letters that wait for a person, oldest first."""
    from orchestration.dead_letters import find_letters  # noqa: PLC0415 (keeps the start quick)

    found = find_letters(load_settings(), stream=stream, answered=all_, limit=limit)
    if as_json:
        print_json([_as_json(stored) for stored in found])
        return
    if not found:
        console.print("No dead letter waits for a person.")
        return
    columns = ("number", "recorded", "stream", "position", "attempts", "bytes", "reason", "answer")
    rows = (
        (
            s.number,
            f"{s.recorded_at:%Y-%m-%d %H:%M:%S}",
            f"{s.letter.stream}/{s.letter.partition}",
            s.letter.position,
            s.letter.attempts,
            len(s.letter.data),
            _why(s),
            _answer(s),
        )
        for s in found
    )
    print_table(f"Dead letters: {len(found)}", columns, rows)


@dead_letters.command("show", epilog="Example: quorum dead-letters show 3 --json")
def show(
    number: Annotated[int, typer.Argument(help="Its number, as `list` shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Print one dead letter: why it was refused, its original bytes, and the trace."""
    from orchestration.dead_letters import find_letter  # noqa: PLC0415

    stored = find_letter(load_settings(), number)
    if as_json:
        print_json(_as_json(stored))
        return
    encoding, text = _readable(stored.letter.data)
    print_fields(
        {
            "number": stored.number,
            "recorded": f"{stored.recorded_at:%Y-%m-%d %H:%M:%S} UTC by the {stored.log} writer",
            "stood at": f"{stored.letter.stream}/{stored.letter.partition} "
            f"{stored.letter.position}",
            "attempts": stored.letter.attempts,
            "reason": _why(stored),
            "answer": _answer(stored) or "none yet",
            "bytes": f"{len(stored.letter.data)}, {encoding}",
        }
    )
    console.print(text, markup=False, soft_wrap=True)
    if stored.letter.trace:
        console.print(stored.letter.trace, markup=False, soft_wrap=True)


@dead_letters.command("redrive", epilog="Example: quorum dead-letters redrive 3 4")
def redrive_letters(
    numbers: _Numbers,
    *,
    actor: Actor = "",
    reason: Annotated[str, typer.Option(help="Why it will be processed now.")] = "",
    as_json: Json = False,
) -> None:
    """Put the original bytes back on their stream, once; who did it is recorded.

    A message goes to the end of its partition, so behind what came since of its symbol; several
    letters keep their order. What was redriven before is not redriven again.
    """
    from orchestration.dead_letters import redrive  # noqa: PLC0415

    handled = redrive(load_settings(), numbers, actor=acting(actor), reason=reason)
    _tell(handled, "back on {place}, behind what came since", as_json=as_json)


@dead_letters.command(
    "discard", epilog="Example: quorum dead-letters discard 3 --reason 'a probe of ours'"
)
def discard_letters(
    numbers: _Numbers,
    *,
    reason: Annotated[str, typer.Option(help="Why it is of no use.")],
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Record that a dead letter is of no use; it leaves the list and stays on record."""
    from orchestration.dead_letters import discard  # noqa: PLC0415

    handled = discard(load_settings(), numbers, actor=acting(actor), reason=stated(reason))
    _tell(handled, "it stays on record", as_json=as_json)


def _tell(handled: list[tuple[StoredLetter, bool]], consequence: str, *, as_json: bool) -> None:
    if as_json:
        print_json([_as_json(stored) | {"by_this_call": done} for stored, done in handled])
        return
    for stored, done in handled:
        letter = stored.letter
        told = (
            consequence.format(place=f"{letter.stream}/{letter.partition}")
            if done
            else "that was before; nothing was done now"
        )
        console.print(f"{stored.number}: {_answer(stored)}; {told}.", markup=False, soft_wrap=True)


def _why(stored: StoredLetter) -> str:
    """Return the typed reason and what was found; of a fault, the last line of its trace."""
    found = stored.letter.trace.rstrip().rpartition("\n")[2]
    return f"{stored.letter.reason}: {found}" if found else stored.letter.reason


def _answer(stored: StoredLetter) -> str:
    answer = stored.answer
    if answer is None:
        return ""
    why = f": {answer.reason}" if answer.reason else ""
    return f"{answer.action} by {answer.actor} at {answer.recorded_at:%Y-%m-%d %H:%M:%S} UTC{why}"


def _as_json(stored: StoredLetter) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(stored)
    letter: dict[str, Any] = msgspec.structs.asdict(fields.pop("letter"))
    encoding, letter["data"] = _readable(letter["data"], text_only=False)
    return fields | letter | {"encoding": encoding}


def _readable(data: bytes, *, text_only: bool = True) -> tuple[str, str]:
    """Return bytes as text and how: UTF-8, or base64 where they are none.

    Parameters
    ----------
    text_only
        Refuse control characters too, which would act on a terminal.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not text_only or all(c.isprintable() or c in "\n\t" for c in text):
            return "utf-8", text
    return "base64", base64.b64encode(data).decode()
