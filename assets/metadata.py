"""What every materialization says of its content: rows, schema, hash, and small plots."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

import dagster as dg
import polars as pl

_WIDTH, _HEIGHT, _MARGIN = 480, 140, 4
_COLOURS = ("#2f6f9f", "#c8553d", "#4c8c4a", "#8a6bb1", "#b58900")
_MOST_POINTS = 240


def frame_metadata(frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """Return row count, column schema, symbols and time span of a frame."""
    found: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(frame.height),
        "dagster/column_schema": dg.MetadataValue.table_schema(schema_of(frame.schema)),
    }
    if frame.height and "timestamp" in frame.columns and "symbol" in frame.columns:
        found["symbols"] = dg.MetadataValue.text(
            ", ".join(frame["symbol"].drop_nulls().unique().sort()[:50])
        )
        found["first"] = dg.MetadataValue.text(str(frame["timestamp"].min()))
        found["last"] = dg.MetadataValue.text(str(frame["timestamp"].max()))
    return found


def schema_of(
    columns: Mapping[str, object], descriptions: Mapping[str, str] | None = None
) -> dg.TableSchema:
    """Return the Dagster schema of name → type."""
    described = descriptions or {}
    return dg.TableSchema(
        [
            dg.TableColumn(name, str(dtype), description=described.get(name))
            for name, dtype in columns.items()
        ]
    )


def table(rows: Sequence[Mapping[str, object]]) -> dg.MetadataValue:
    """Return a Markdown table of `rows`; the first row's keys are its columns."""
    if not rows:
        return dg.MetadataValue.md("none")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def line_plot(title: str, lines: Mapping[str, Sequence[float]]) -> dg.MetadataValue:
    """Return a small inline plot of one or more lines over a shared axis."""
    if not any(len(values) for values in lines.values()):
        return dg.MetadataValue.md(f"{title}: nothing to plot")
    image = b64encode(line_picture(title, lines).encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{image})")


def line_picture(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """Return a small picture (SVG) of one or more lines, not all empty, over a shared axis."""
    shown = {name: _thinned(values) for name, values in lines.items() if len(values)}
    low = min(min(values) for values in shown.values())
    high = max(max(values) for values in shown.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + 34}"',
        ' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="4" y="13">{escape(title)}: {low:.4g} … {high:.4g}</text>',
    ]
    for place, (name, values) in enumerate(shown.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" points="{_points(values, low, high)}"/>'
            f'<text x="{4 + 95 * place}" y="{_HEIGHT + 30}" fill="{colour}">{escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _points(values: Sequence[float], low: float, high: float) -> str:
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(values) - 1)
    scale = (_HEIGHT - 2 * _MARGIN) / ((high - low) or 1.0)
    return " ".join(
        f"{_MARGIN + i * step:.1f},{18 + _HEIGHT - _MARGIN - (v - low) * scale:.1f}"
        for i, v in enumerate(values)
    )


def _thinned(values: Sequence[float]) -> list[float]:
    step = -(-len(values) // _MOST_POINTS)
    return [float(value) for value in values[::step]]


def _cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
