"""`quorum review`: decisions that wait for a person, and the person's answer."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from domain.money import positive
from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import Actor, acting, stated
from orchestration.command_line.printing import console, print_fields, print_json, print_table

if TYPE_CHECKING:
    from orchestration.reviews import Answered, Review

review = typer.Typer(
    no_args_is_help=True, help="Decisions that wait for a person: look, approve, reject."
)
app.add_typer(review, name="review", epilog="Example: quorum review list")

_Decision = Annotated[str, typer.Argument(help="The decision's id, as `list` shows it.")]
_Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]
_Price = Annotated[
    str, typer.Option(help="Price now.", show_default="the symbol's last price on the bus")
]
_Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the engine's answer.")]


@review.command("list", epilog="Example: quorum review list --json")
def list_reviews(
    *,
    limit: Annotated[int, typer.Option(min=1, help="The oldest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the decisions that nobody has answered, oldest first."""
    from orchestration.reviews import waiting_reviews  # noqa: PLC0415 (keeps the start quick)

    found = waiting_reviews(load_settings(), limit=limit)
    if as_json:
        print_json([_as_json(each) for each in found])
        return
    if not found:
        console.print("No decision waits for a person.")
        return
    columns = ("decision", "trade", "price then", "scores", "variance", "reason", "deadline")
    rows = (
        (
            each.decision.decision_id,
            _trade(each),
            each.decision.proposal.reference_price,
            " ".join(str(vote.score) for vote in each.decision.counted),
            "" if each.decision.variance is None else f"{each.decision.variance:.1f}",
            each.decision.reason,
            f"{each.deadline:%Y-%m-%d %H:%M:%S} UTC",
        )
        for each in found
    )
    print_table(f"For review: {len(found)}", columns, rows)


@review.command("show", epilog="Example: quorum review show 0e2c7c1a-…")
def show(decision: _Decision, *, as_json: Json = False) -> None:
    """Print one decision as a reviewer needs it: every rationale, price, risk, deadline."""
    from orchestration.reviews import find_review  # noqa: PLC0415

    found = find_review(load_settings(), decision)
    if as_json:
        print_json(_as_json(found))
        return
    result, proposal = found.decision, found.decision.proposal
    print_fields(
        {
            "decision": result.decision_id,
            "trade": _trade(found),
            "price then": f"{proposal.reference_price}, target {proposal.price_target} "
            f"in {proposal.horizon_days} days",
            "why a person": result.reason,
            "score": result.weighted_score,
            "variance": result.variance,
            "risk": _measures(proposal.risk_metrics),
            "deadline": f"{found.deadline:%Y-%m-%d %H:%M:%S} UTC",
            "answer": _end(found) or "none yet",
            "proposal": f"{proposal.rationale} ({proposal.model_version})",
            **{
                vote.agent_id: f"{vote.score} × {vote.confidence_ppm / 1e6:.3f}"
                f"{f', veto: {vote.veto}' if vote.veto else ''}: {vote.rationale} "
                f"({_measures(vote.risk_assessment)})"
                for vote in result.counted
            },
            **{vote.agent_id: f"not counted: {vote.reason}" for vote in result.ignored},
        }
    )


@review.command("approve", epilog="Example: quorum review approve 0e2c7c1a-… --reason 'I agree'")
def approve(
    decision: _Decision,
    *,
    reason: _Reason,
    actor: Actor = "",
    price: _Price = "",
    wait: _Wait = 15.0,
    as_json: Json = False,
) -> None:
    """Approve a decision; the engine checks time and price again. Ends with 1 if it refuses."""
    _answer(decision, reason, actor, price, wait, approved=True, as_json=as_json)


@review.command("reject", epilog="Example: quorum review reject 0e2c7c1a-… --reason 'news'")
def reject(
    decision: _Decision,
    *,
    reason: _Reason,
    actor: Actor = "",
    wait: _Wait = 15.0,
    as_json: Json = False,
) -> None:
    """Reject a decision. Ends with 1 if it was answered otherwise before."""
    _answer(decision, reason, actor, "", wait, approved=False, as_json=as_json)


def _answer(
    decision: str,
    reason: str,
    actor: str,
    price: str,
    wait: float,
    *,
    approved: bool,
    as_json: bool,
) -> None:
    from orchestration.reviews import Answer, answer_review  # noqa: PLC0415

    answer = Answer(approved, acting(actor), stated(reason), _price_of(price) if price else None)
    answered = answer_review(load_settings(), decision, answer, patience_seconds=wait)
    if as_json:
        print_json(_as_json(answered.review) | {"by_this_call": answered.by_this_call})
    else:
        before = "" if answered.by_this_call else "Answered before: "
        console.print(f"{before}{_end(answered.review)}", markup=False, soft_wrap=True)
    if not _as_wanted(answered, answer.actor, approved=approved):
        raise typer.Exit(1)


def _price_of(text: str) -> Decimal:
    return positive(text, "--price")


def _as_wanted(answered: "Answered", actor: str, *, approved: bool) -> bool:
    """Whether this person's answer stands and had its effect (asking twice changes nothing)."""
    verdict, final = answered.review.verdict, answered.review.final
    return (
        verdict is not None
        and final is not None
        and (verdict.actor, verdict.approved) == (actor, approved)
        and (final.outcome == "EXECUTE") is approved
    )


def _trade(found: "Review") -> str:
    proposal = found.decision.proposal
    return f"{proposal.action} {proposal.quantity} {proposal.symbol}"


def _end(found: "Review") -> str:
    """Return how a review ended, in a sentence, or nothing."""
    final, verdict = found.final, found.verdict
    if final is None:
        return ""
    if verdict is None:
        return f"{final.outcome} ({final.reason}): nobody answered in time."
    answer = "approved" if verdict.approved else "rejected"
    return (
        f"{final.outcome} ({final.reason}): {answer} by {verdict.actor} at "
        f"{verdict.decided_at:%Y-%m-%d %H:%M:%S} UTC at a price of {verdict.price_now} (then "
        f"{found.decision.proposal.reference_price}): {verdict.reason}"
    )


def _measures(values: dict[str, Decimal]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items())) or "no measures"


def _as_json(found: "Review") -> dict[str, Any]:
    final = found.final
    end = None if final is None else {"outcome": final.outcome, "reason": final.reason}
    return msgspec.structs.asdict(found) | {
        "decision_id": found.decision.decision_id,
        "end": end,
        "answered_by": found.verdict.actor if found.verdict else None,
    }
