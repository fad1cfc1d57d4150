"""`quorum review`: decisions that wait for persons, and the persons' answers."""

import sys
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import NotAuthenticated
from domain.money import positive
from domain.settings import Settings, load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.operator import stated
from orchestration.command_line.printing import (
    console,
    print_fields,
    print_json,
    print_table,
    visible,
)

if TYPE_CHECKING:
    from adapters.persons import Person
    from domain.review import Claim
    from orchestration.reviews.desk import ReviewDesk
    from orchestration.reviews.review import Review

review = typer.Typer(
    no_args_is_help=True, help="Decisions that wait for a person: look, claim, approve, reject."
)
app.add_typer(review, name="review", epilog="Example: quorum review list")

_Decision = Annotated[str, typer.Argument(help="The decision's id, as `list` shows it.")]
_Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]
_Price = Annotated[
    str,
    typer.Option(help="Price now, where the market shows none.", show_default="the market's last"),
]
_Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the engine's answer.")]


@review.command("list", epilog="Example: quorum review list --json")
def list_reviews(
    *,
    limit: Annotated[int, typer.Option(min=1, help="The oldest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the decisions that wait for a person, oldest first."""
    from orchestration.reviews.desk import ReviewDesk, at_desk  # noqa: PLC0415 (a quick start)

    found = at_desk(load_settings(), partial(ReviewDesk.waiting, limit=limit))
    if as_json:
        print_json(found)
        return
    columns = ("decision", "trade", "value", "price then", "scores", "reason", "state", "deadline")
    rows = [
        (
            each.decision.decision_id,
            _trade(each),
            _value(each),
            each.decision.proposal.reference_price,
            " ".join(str(vote.score) for vote in each.decision.counted),
            each.decision.reason,
            _state(each),
            f"{each.terms.deadline:%Y-%m-%d %H:%M:%S} UTC",
        )
        for each in found
    ]
    title = f"For review: {len(rows)}"
    print_table(title, columns, rows, empty="No decision waits for a person.")


@review.command("show", epilog="Example: quorum review show 0e2c7c1a-…")
def show(decision: _Decision, *, as_json: Json = False) -> None:
    """Print one decision as a reviewer needs it: every rationale, price then and now, risk."""
    from orchestration.reviews.desk import ReviewDesk, at_desk  # noqa: PLC0415

    found = at_desk(load_settings(), partial(ReviewDesk.find, decision_id=decision))
    if as_json:
        print_json(found)
        return
    result, proposal, terms = found.decision, found.decision.proposal, found.terms
    print_fields(
        {
            "decision": result.decision_id,
            "trade": f"{_trade(found)}, worth {_value(found)}",
            "why a person": result.reason,
            "score": result.weighted_score,
            "variance": result.variance,
            "price then": f"{proposal.reference_price}, target {proposal.price_target} "
            f"in {proposal.horizon_days} days",
            "price now": _price_now(found),
            "approvals": f"{terms.approvals_needed} needed, at a price of "
            f"{terms.lowest_price} to {terms.highest_price}",
            "risk": _measures(proposal.risk_metrics),
            "deadline": f"{terms.deadline:%Y-%m-%d %H:%M:%S} UTC",
            "state": _state(found),
            "answer": found.account() or "none yet",
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


@review.command("claim", epilog="Example: quorum review claim 0e2c7c1a-…")
def claim(decision: _Decision, *, as_json: Json = False) -> None:
    """Say that you look at a decision, so that others take another; again renews it."""
    from orchestration.reviews.desk import at_desk  # noqa: PLC0415

    settings = load_settings()

    async def act(desk: "ReviewDesk") -> "Claim":
        return await desk.claim(decision, _myself(desk, settings))

    held = at_desk(settings, act)
    if as_json:
        print_json(held)
    else:
        until = f"{held.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        console.print(f"Yours until {until}; claim it again to keep it.", markup=False)


@review.command("release", epilog="Example: quorum review release 0e2c7c1a-…")
def release(decision: _Decision, *, as_json: Json = False) -> None:
    """Give up your claim, so that others may answer."""
    from orchestration.reviews.desk import at_desk  # noqa: PLC0415

    settings = load_settings()

    async def act(desk: "ReviewDesk") -> None:
        await desk.release(decision, _myself(desk, settings))

    at_desk(settings, act)
    if as_json:
        print_json({"released": decision})
    else:
        console.print("Released.")


@review.command("approve", epilog="Example: quorum review approve 0e2c7c1a-… --reason 'I agree'")
def approve(
    decision: _Decision,
    *,
    reason: _Reason,
    price: _Price = "",
    wait: _Wait = 15.0,
    as_json: Json = False,
) -> None:
    """Approve a decision; the engine checks time and price again.

    Ends with 1 if it refuses, or another was first. Above a value a second person must approve.
    """
    _answer(decision, reason, price, wait, approved=True, as_json=as_json)


@review.command("reject", epilog="Example: quorum review reject 0e2c7c1a-… --reason 'news'")
def reject(
    decision: _Decision, *, reason: _Reason, wait: _Wait = 15.0, as_json: Json = False
) -> None:
    """Reject a decision. Ends with 1 if it was answered otherwise before."""
    _answer(decision, reason, "", wait, approved=False, as_json=as_json)


def _answer(
    decision: str, reason: str, price: str, wait: float, *, approved: bool, as_json: bool
) -> None:
    from orchestration.reviews.desk import Answer, at_desk  # noqa: PLC0415

    settings = load_settings()
    answer = Answer(approved, stated(reason), positive(price, "--price") if price else None)

    async def act(desk: "ReviewDesk") -> "Review":
        person = _myself(desk, settings)
        return await desk.answer(decision, person, answer, patience_seconds=wait)

    found = at_desk(settings, act)
    if as_json:
        print_json(found)
    else:
        console.print(visible(found.account()), markup=False, soft_wrap=True)
    if approved and found.final is not None and found.final.outcome != "EXECUTE":
        raise typer.Exit(1)


def _myself(desk: "ReviewDesk", settings: Settings) -> "Person":
    """Return who gives this command, by the token."""
    token = settings.review_token.get_secret_value()
    if not token and sys.stdin.isatty():
        token = typer.prompt("Your token", hide_input=True, err=True)
    if not token:
        raise NotAuthenticated(
            "No token says who you are.",
            next_step="Set QUORUM_REVIEW_TOKEN to what `quorum review add-person` printed.",
        )
    return desk.persons.authenticate(token)


def _trade(found: "Review") -> str:
    proposal = found.decision.proposal
    return f"{proposal.action} {proposal.quantity} {proposal.symbol}"


def _value(found: "Review") -> str:
    return f"{found.terms.value} {found.decision.proposal.portfolio.currency}"


def _state(found: "Review") -> str:
    state = found.state.replace("_", " ")
    urgent = ", urgent" if found.escalated and found.final is None else ""
    claimed = f", {found.claim.actor} looks at it" if found.claim else ""
    return f"{state}{urgent}{claimed}"


def _price_now(found: "Review") -> str:
    now, then = found.price_now, found.decision.proposal.reference_price
    if now is None:
        return "none on the bus"
    moved = (now.price / then - 1) * 100
    return f"{now.price} ({moved:+.2f} %), of {now.observed_at:%Y-%m-%d %H:%M:%S} UTC"


def _measures(values: dict[str, Decimal]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items())) or "no measures"
