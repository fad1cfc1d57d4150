"""A model's card: what it is, what the gate found, and what it may be used for."""

from pathlib import Path

import msgspec

from domain.messages import Value
from domain.models import ModelVersion
from evaluation.gate import GateReport
from evaluation.report.page import page, write_whole


class ModelCard(Value, frozen=True, kw_only=True):
    """A model version with its gate.

    Parameters
    ----------
    task
        What the agent is judged by, in one sentence.
    training
        Fact → value of its training: rows, period, seed …
    limits
        What it must not be used for, or is known to be bad at; one sentence each.
    """

    model: ModelVersion
    gate: GateReport
    task: str
    training: dict[str, str] = {}
    limits: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Return indented JSON; the same for equal cards."""
        return msgspec.json.format(msgspec.json.encode(self))


def render_card(card: ModelCard) -> str:
    """Return the card as one HTML page that opens offline."""
    return page("model_card.html.j2", with_charts=False, card=card, gate=card.gate)


def write_card(card: ModelCard, folder: Path) -> tuple[Path, Path]:
    """Write ``model_card.html`` and ``model_card.json`` into `folder`; return their paths."""
    return (
        write_whole(render_card(card), folder / "model_card.html"),
        write_whole(card.to_json().decode(), folder / "model_card.json"),
    )
