from datetime import timedelta

import msgspec
import polars as pl
import pytest

from agents.market_view import MarketView
from agents.voting import vote
from domain.market import FeedChanged, FeedState
from domain.messages import decode, encode
from domain.money import canonical
from domain.voting import BOUND, MILLION, Action, AgentId


@pytest.fixture
def cast(classics, limits, serving):
    def run(agent, view, proposal, **changes):
        options = {"limits": limits, "serving": serving} | changes
        return vote(
            classics[agent].model,
            f"{agent}@1:abc",
            view,
            proposal,
            occurred_at=proposal.occurred_at,
            **options,
        )

    return run


@pytest.mark.parametrize("agent", AgentId)
@pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
async def test_online_and_offline_votes_are_the_same_bytes(agent, action, world, cast):
    bars, bar_of, until = world.bars, world.bar_of, world.until
    proposal = world.proposal_of(action=action, held=(("AAA", 0.1), ("BBB", 0.2)))
    offline = MarketView()
    offline.warm_up(bars, features=world.features)
    online = MarketView()
    online.warm_up(bars.filter(pl.col("timestamp") < until - timedelta(days=3)))
    for day in range(-3, 0):
        for symbol in ("BBB", "AAA", "CCC"):
            await online.update(bar_of(symbol, until + timedelta(days=day)))
    await online.update(bar_of("AAA", until))
    early = cast(agent, online, proposal)
    await online.update(bar_of("BBB", until))
    late = cast(agent, online, proposal)
    assert encode(early) == encode(late) == encode(cast(agent, offline, decode(encode(proposal))))


@pytest.mark.parametrize("agent", AgentId)
def test_a_vote_is_in_range_explained_and_of_this_model(agent, view, proposal_of, cast):
    proposal = proposal_of(held=(("AAA", 0.1), ("BBB", 0.2)))
    ballot = cast(agent, view, proposal)
    assert 0 <= ballot.score <= 100
    assert 0 < ballot.confidence_ppm <= MILLION
    assert not ballot.abstention
    assert any(character.isdigit() for character in ballot.rationale)
    assert ballot.risk_assessment
    assert all(canonical(v) == v for v in ballot.risk_assessment.values())
    assert (ballot.agent_id, ballot.model_version) == (agent, f"{agent}@1:abc")
    assert (ballot.correlation_id, ballot.causation_id) == (
        proposal.correlation_id,
        proposal.message_id,
    )


@pytest.mark.parametrize("agent", AgentId)
@pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
def test_no_verdict_is_likelier_wrong_than_right(agent, action, view, world, cast):
    for edge in (-0.02, 0.0005, 0.001, 0.02):
        for days in range(0, 40, 8):
            proposal = world.proposal_of(
                at=world.until - timedelta(days=days),
                edge=edge,
                action=action,
                held=(("AAA", 0.2),),
            )
            ballot = cast(agent, view, proposal)
            assert ballot.confidence >= 0.5


@pytest.mark.parametrize("agent", [a for a in AgentId if a is not AgentId.MARKET_ANALYST])
def test_a_vote_carries_what_it_is_held_against(agent, view, proposal_of, cast):
    assert BOUND in cast(agent, view, proposal_of()).risk_assessment


def test_a_veto_is_a_fact_and_carries_no_bound(view, proposal_of, cast):
    ballot = cast(AgentId.RISK_MANAGER, view, proposal_of(fraction=0.5))
    assert ballot.veto
    assert ballot.score < 75
    assert ballot.confidence == 1.0
    assert BOUND not in ballot.risk_assessment


@pytest.mark.parametrize("agent", AgentId)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"correlation_id": "unknown"}, "inputs missing"),
        ({"symbol": "ZZZ"}, "inputs missing"),
        ({"action": Action.HOLD}, "nothing is traded"),
    ],
)
def test_what_cannot_be_judged_is_an_abstention(agent, changes, reason, world, cast):
    view = MarketView()
    view.warm_up(world.bars)
    ballot = cast(agent, view, msgspec.structs.replace(world.proposal_of(), **changes))
    assert reason in ballot.abstention
    assert ballot.confidence_ppm == 0


@pytest.mark.parametrize("agent", AgentId)
def test_a_model_of_old_data_abstains(agent, view, world, cast):
    proposal_of = world.proposal_of
    strict = world.serving.model_copy(update={"maximum_model_age_days": 1})
    assert not cast(agent, view, proposal_of(), serving=strict).abstention
    later = proposal_of(at=world.until + timedelta(days=2))
    assert "model too old: 2 days" in cast(agent, view, later, serving=strict).abstention


@pytest.mark.parametrize("agent", AgentId)
def test_short_history_is_an_abstention(agent, bars, proposal_of, cast):
    at = bars["timestamp"].min() + timedelta(days=12)
    view = MarketView()
    view.warm_up(bars.filter(pl.col("timestamp") <= at))
    assert "too short" in cast(agent, view, proposal_of(at=at)).abstention


def changed(state, since):
    return FeedChanged(
        message_id=f"{state} {since}",
        correlation_id="c",
        occurred_at=since,
        symbol="AAA",
        state=state,
        since=since,
    )


@pytest.mark.parametrize("agent", AgentId)
async def test_a_bar_that_came_late_is_an_abstention_and_the_next_one_is_not(agent, world, cast):
    view, until = MarketView(), world.until
    view.warm_up(world.bars.filter(pl.col("timestamp") < until - timedelta(days=1)))
    for state, since in (
        (FeedState.STALE, until - timedelta(days=2)),  # overdue, and then it was a gap
        (FeedState.GAP, until - timedelta(days=2)),
        (FeedState.LIVE, until - timedelta(days=1)),
    ):
        await view.update(changed(state, since))
    for day in (-1, 0):
        await view.update(world.bar_of("AAA", until + timedelta(days=day)))
    late = cast(agent, view, world.proposal_of(at=until - timedelta(days=1)))
    assert late.abstention == "feed gap: the proposal's bar came late"
    assert late.confidence_ppm == 0
    assert "feed" not in cast(agent, view, world.proposal_of(at=until)).abstention
    # What the feed tells of later bars changes no vote on an earlier one.
    await view.update(changed(FeedState.STALE, until))
    assert "feed" not in cast(agent, view, world.proposal_of(at=until)).abstention
