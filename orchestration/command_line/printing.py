"""Print results: JSON where it was asked for, else tables, or paragraphs where those don't fit."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table

#: A pipe has no width of its own; lines there are as long as what they tell.
_PIPE_WIDTH = 10_000

console = Console(highlight=False)
if not console.is_terminal:
    console.width = _PIPE_WIDTH


def visible(text: str) -> str:
    """Return `text` with what steers a terminal, or hides words on it, spelled out."""
    return "".join(
        c if c == "\n" or unicodedata.category(c)[0] != "C" else ascii(c)[1:-1] for c in text
    )


def print_json(value: object) -> None:
    """Print any message, value, or mapping of them as one JSON document."""
    console.print(
        msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode(),
        soft_wrap=True,
        markup=False,
    )


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = ""
) -> None:
    """Print rows under their columns; numbers stand to the right.

    Where the terminal is too narrow, a row becomes a paragraph, so that nothing is cut off.

    Parameters
    ----------
    empty
        What to say where there are no rows.
    """
    texts = [["" if cell is None else escape(visible(str(cell))) for cell in row] for row in rows]
    if not texts:
        console.print(empty)
        return
    table = _table(title, columns, texts)
    if Measurement.get(console, console.options.update(width=_PIPE_WIDTH), table).maximum > (
        console.width
    ):
        _print_paragraphs(title, columns, texts)
    else:
        console.print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print name and value, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        console.print(
            f"[bold]{name:<{width}}[/bold]  {escape(visible(str(value)))}", soft_wrap=True
        )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        numeric = all(_is_number(row[number]) for row in rows if row[number])
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _print_paragraphs(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console.print(f"[italic]{title}[/italic]")
    for first, *rest in rows:
        console.print(f"[bold]{first}[/bold]", soft_wrap=True)
        told = (f"[dim]{n}[/dim] {text}" for n, text in zip(columns[1:], rest, strict=True) if text)
        console.print(Padding(" · ".join(told), (0, 0, 0, 4)))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True
