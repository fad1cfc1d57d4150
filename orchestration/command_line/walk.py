"""Print a walk: from the tick that began it to what it earned."""

from collections.abc import Sequence

from rich.markup import escape
from rich.tree import Tree

from adapters.projections.walks import Match
from consensus.explain import Walk
from domain.voting import ConsensusResult, TradingProposal
from orchestration.command_line.printing import console, print_json, print_table


def print_walk(walk: Walk) -> None:
    """Print every step of a walk, with numbers, versions and hashes."""
    proposal = walk.proposal
    tree = Tree(f"[bold]{proposal.action} {proposal.quantity} {proposal.symbol}[/bold]")
    _tick(tree, walk)
    _proposal(tree, proposal)
    for decision in walk.decisions:
        _decision(tree, decision)
    for verdict in walk.verdicts:
        answer = "approved" if verdict.approved else "rejected"
        tree.add(
            f"[bold]Review[/bold] {answer} by {escape(verdict.actor)}: {escape(verdict.reason)}"
        )
    for vote in walk.late:
        tree.add(
            f"[bold]Late[/bold] {vote.agent_id} {vote.score} × {vote.confidence_ppm / 1e6:.3f}, "
            f"never counted  {escape(vote.rationale)}  [dim]{escape(vote.model_version)}[/dim]"
        )
    _orders(tree, walk)
    _outcome(tree, walk)
    _models(tree, walk)
    _record(tree, walk)
    console.print(tree)


def print_candidates(matches: Sequence[Match], *, as_json: bool) -> None:
    """Print ids that begin alike, so that a reader can choose."""
    if as_json:
        print_json({"candidates": [match._asdict() for match in matches]})
    else:
        rows = [(match.id, match.kind, match.correlation_id) for match in matches]
        print_table("Several ids begin so", ("id", "of a", "walk"), rows)


def _tick(tree: Tree, walk: Walk) -> None:
    if (tick := walk.tick) is not None:
        tree.add(
            f"[bold]Tick[/bold] {tick.symbol} {tick.price} at "
            f"{tick.observed_at:%Y-%m-%d %H:%M} UTC, volume {tick.volume}"
        )


def _proposal(tree: Tree, proposal: TradingProposal) -> None:
    branch = tree.add(
        f"[bold]Proposal[/bold] by {proposal.model_version}, confidence {proposal.confidence:.3f}, "
        f"target {proposal.price_target} in {proposal.horizon_days} days"
    )
    branch.add(escape(proposal.rationale))
    branch.add(
        "features "
        + ", ".join(f"{name} {value}" for name, value in proposal.features.items())
        + (f"; data {proposal.data_version}" if proposal.data_version else "")
    )


def _decision(tree: Tree, decision: ConsensusResult) -> None:
    limits = decision.thresholds
    figures = (
        "no votes counted"
        if decision.weighted_score is None
        else f"weighted score {decision.weighted_score:.2f} (executes from "
        f"{limits.execute_at_weighted_score}), variance {decision.variance:.2f} "
        f"(review above {limits.review_above_variance})"
    )
    degraded = ", degraded" if decision.degraded else ""
    branch = tree.add(
        f"[bold]Decision[/bold] {decision.outcome} ({decision.reason}{degraded}): {figures}; "
        f"rule {decision.rule_version}, rules {decision.rules_digest[:8] or 'not on record'}"
    )
    for vote in decision.counted:
        veto = f" [red]veto: {escape(vote.veto)}[/red]" if vote.veto else ""
        branch.add(
            f"{vote.agent_id:<20} {vote.score:>3} × {vote.confidence_ppm / 1e6:.3f}{veto}  "
            f"{escape(vote.rationale)}  [dim]{vote.model_version}[/dim]"
        )
    for vote in decision.ignored:
        branch.add(f"{vote.agent_id:<20} not counted: {escape(vote.reason)}")


def _orders(tree: Tree, walk: Walk) -> None:
    for update in walk.orders:
        why = f": {update.denial.reason}" if update.denial else f" {update.reason}".rstrip()
        tree.add(f"[bold]Order[/bold] {update.order.client_order_id} {update.status}{why}")
    for fill in walk.executions:
        tree.add(
            f"[bold]Fill[/bold] {fill.side} {fill.quantity} at {fill.price} on "
            f"{fill.executed_at:%Y-%m-%d}, fee {fill.fee}, slippage {fill.slippage_bps:.1f} bps"
        )


def _outcome(tree: Tree, walk: Walk) -> None:
    if (lived := walk.experience) is None:
        tree.add("[bold]Outcome[/bold] the horizon has not passed yet")
        return
    branch = tree.add(
        f"[bold]Outcome[/bold] {float(lived.reward):+.4%} after costs, "
        f"{lived.horizon_days} days later"
    )
    if walk.profit is not None:
        branch.add(f"{float(walk.profit):+,.2f} on what was filled")
    for agent, part in lived.agent_contributions.items():
        branch.add(f"{agent:<20} {float(part):+.4%}")


def _models(tree: Tree, walk: Walk) -> None:
    if not walk.models:
        return
    branch = tree.add("[bold]Models[/bold]")
    for label, model in sorted(walk.models.items()):
        parent = f", from version {model.parent_version}" if model.parent_version else ""
        branch.add(
            escape(
                f"{label}: training run {model.run_id or 'none'}, data {model.data_version}, "
                f"code {model.code_version}{parent}"
            )
        )


def _record(tree: Tree, walk: Walk) -> None:
    branch = tree.add(f"[bold]On record[/bold] as {walk.correlation_id}")
    for event in walk.evidence:
        branch.add(
            f"[dim]{event.log}/{event.partition} {event.sequence:>5}  {event.type:<18} "
            f"{event.hash[:16]}…  {event.message_id}[/dim]"
        )
