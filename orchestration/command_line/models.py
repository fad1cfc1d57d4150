"""`quorum train` and `quorum models`."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

from domain.model_life import ModelMove
from domain.settings import load_settings
from domain.voting import AgentId
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table


@app.command(epilog="Example: quorum train --retrain market_analyst")
def train(
    *,
    retrain: Annotated[
        AgentId | None, typer.Option(help="Only this agent, on what it has experienced.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Materialize the batch graph: data, checks, features, four models, gate, promotion.

    With --retrain: one agent learns from its experiences, is compared with the champion on the
    same live proposals, and is promoted or refused.
    """
    settings = load_settings()
    from rich.console import Console  # noqa: PLC0415

    from adapters.ledger import migrate  # noqa: PLC0415 (keeps the command line quick)
    from adapters.profile import connected  # noqa: PLC0415
    from orchestration.command_line.stages import Stages  # noqa: PLC0415
    from orchestration.pipeline import run_pipeline, run_retraining  # noqa: PLC0415

    stages = Stages(Console(stderr=True) if as_json else console)
    with connected(settings, servers=("postgres",)) as ready:
        migrate(ready.ledger_url.get_secret_value())
        if retrain is None:
            with stages.stage("Learn: bars → champions") as stage:
                result = run_pipeline(ready, lambda step: stage.say(f"{step.stage}: {step.name}"))
                warnings = [check for check in result.checks if not check.passed]
                stage.say(f"{len(result.checks)} checks, {len(warnings)} warnings")
            promotions = list(result.promotions.values())
        else:
            with stages.stage(f"Retrain the {retrain.replace('_', ' ')}") as stage:
                promotions, warnings = [run_retraining(ready, retrain).promotion], []
    if as_json:
        warned = [warning._asdict() for warning in warnings]
        print_json({"promotions": promotions, "warnings": warned})
        return
    for warning in warnings:
        about = escape(f"{warning.name} of {warning.asset}: {warning.description}")
        console.print(f"[yellow]![/yellow] {about}", soft_wrap=True)
    rows = [
        (p.agent, p.candidate, "promoted" if p.promoted else "refused", p.champion, p.reason)
        for p in promotions
    ]
    print_table("Models", ("agent", "candidate", "verdict", "champion", "reason"), rows)


@app.command(epilog="Example: quorum models --agent risk_manager --json")
def models(
    *,
    agent: Annotated[AgentId | None, typer.Option(help="Only this agent.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every move: who moved what, where to, and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List registered model versions, where each stands, and what it learned from."""
    settings = load_settings()
    from adapters.model_registry import open_model_registry  # noqa: PLC0415

    registry = open_model_registry(settings)
    agents = [agent] if agent else list(AgentId)
    if history:
        _print_moves([m for each in agents for m in registry.moves(each)], as_json=as_json)
        return
    found = [v for each in agents for v in registry.versions(each)]
    if as_json:
        print_json(found)
        return
    rows = [
        (v.label, v.deployment_status, v.data_version[:8], v.code_version[:8], f"{v.created_at:%F}")
        for v in found
    ]
    print_table(
        "Model versions",
        ("version", "status", "data", "code", "registered"),
        rows,
        empty="No model is registered; `quorum train` makes the first.",
    )


def _print_moves(moves: Sequence[ModelMove], *, as_json: bool) -> None:
    if as_json:
        print_json(moves)
        return
    rows = [
        (f"{m.agent}@{m.version}", m.after, m.actor, m.reason, f"{m.occurred_at:%F %H:%M:%S}")
        for m in moves
    ]
    columns = ("version", "to", "by", "reason", "when")
    print_table("Moves", columns, rows, empty="No model has moved yet.")
