"""`quorum agents`: how the agents do, by what is on record."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from domain.settings import load_settings
from domain.voting import AgentId
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import print_json, print_table

if TYPE_CHECKING:
    from domain.scorecards import Scorecard


class By(StrEnum):
    """What scorecards are summed by."""

    AGENT = "agent"
    MODEL = "model"
    DAY = "day"


_FIGURES = ("agreement_rate", "mean_score", "mean_confidence", "hit_rate", "brier_score")


@app.command(epilog="Example: quorum agents --by model --agent risk_manager")
def agents(
    *,
    by: Annotated[By, typer.Option(help="One line for each agent, model version or day.")] = (
        By.AGENT
    ),
    agent: Annotated[AgentId | None, typer.Option(help="Only this agent.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="From this day on (UTC).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell how each agent does: votes, agreement with the outcomes, hit rate, Brier score.

    Hit rate and Brier score are of the votes whose horizon has passed: whether the future bore
    the verdict out. A Brier score of 0.25 says nothing, 0 is best.
    """
    from orchestration.projections import JUDGES  # noqa: PLC0415 (as the next one)
    from orchestration.record import read_side  # noqa: PLC0415 (keeps the command line quick)

    with read_side(load_settings()) as queries:
        found = queries.figures.scorecards(
            JUDGES, by=by.value, agent=agent, since=since.date() if since else None
        )
    if as_json:
        print_json([_as_json(card) for card in found])
        return
    columns = (
        "agent",
        *({By.MODEL: ("model",), By.DAY: ("day",)}.get(by, ())),
        "counted",
        "agreement",
        "score",
        "confidence",
        "latency s",
        "matured",
        "hit rate",
        "Brier",
        "not counted",
    )
    rows = [
        (
            card.agent_id,
            *({By.MODEL: (card.model_version,), By.DAY: (card.day,)}.get(by, ())),
            card.counted,
            _share(card.agreement_rate),
            _figure(card.mean_score, 1),
            _figure(card.mean_confidence, 3),
            _figure(card.mean_latency_seconds, 3),
            card.matured,
            _share(card.hit_rate),
            _figure(card.brier_score, 4),
            ", ".join(f"{count} {reason}" for reason, count in card.ignored.items()),
        )
        for card in found
    ]
    print_table("Agents", columns, rows, empty="No vote is on record yet.")


def _as_json(card: "Scorecard") -> dict[str, object]:
    return {
        "agent_id": card.agent_id,
        "model_version": card.model_version,
        "day": card.day,
        "counted": card.counted,
        "ignored": card.ignored,
        "late": card.late,
        "abstained": card.abstained,
        "decided": card.decided,
        "matured": card.matured,
        "mean_latency_seconds": card.mean_latency_seconds,
        **{name: getattr(card, name) for name in _FIGURES},
    }


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _figure(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
