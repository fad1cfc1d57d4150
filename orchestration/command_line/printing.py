"""Print results: JSON where it was asked for, else a table that fits the terminal."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

#: A pipe has no width of its own; lines there are as long as what they tell.
_PIPE_WIDTH = 200

console = Console(highlight=False)
if not console.is_terminal:
    console.width = _PIPE_WIDTH


def print_json(value: object) -> None:
    """Print any message, value, or mapping of them as one JSON document."""
    console.print(
        msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode(),
        soft_wrap=True,
        markup=False,
    )


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns; numbers stand to the right."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, padding=(0, 2))
    rows = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[number]) for row in rows if row[number])
        table.add_column(column, justify="right" if numeric else "left", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print name and value, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        console.print(f"[bold]{name:<{width}}[/bold]  {value}", soft_wrap=True)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True
