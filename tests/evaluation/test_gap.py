"""Each way in which a session can differ from its backtest is found, and its money to the cent."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from domain.market import MarketData
from domain.rules import Rules
from domain.settings import TradingSettings
from domain.voting import AgentId, ConsensusResult
from evaluation.backtest import Backtest, BacktestResult
from evaluation.gap import Cause, Session, measure
from tests.evaluation.test_backtest import contrarian, vote_of, waves

DAYS = 60


def make(vote=vote_of, propose=contrarian, **limits):
    return Backtest(
        propose,
        vote,
        clock=EventClock(),
        metrics=PrometheusMetrics(),
        settings=TradingSettings(**limits),
        rules=Rules(),
    )


def backtest(bars, votes_on, **limits):
    def cast(agent, proposal):
        return vote_of(agent, proposal) if votes_on(agent, proposal) else None

    return asyncio.run(make(cast, **limits).run(bars))


def orders(inputs):
    return asyncio.run(make().execute(inputs))


@pytest.fixture
def recorded(monkeypatch):
    """Return a function that gives what a gateway records while something runs."""
    events = []
    take = BacktestResult.take

    def take_and_keep(result, caused):
        caused = list(caused)
        events.extend(caused)
        take(result, caused)

    def during(run):
        with monkeypatch.context() as patched:
            patched.setattr(BacktestResult, "take", take_and_keep)
            asyncio.run(run)
        return Session(list(events))

    return during


def gap_of(session, bars=None):
    gap = measure(session, bars or waves(DAYS), backtest, orders)
    assert sum(gap.money.values()) == gap.equity_difference
    return gap


def causes(gap):
    return {cause for cause, count in gap.counts.items() if count}


def test_the_same_feed_leaves_no_difference(recorded):
    gap = gap_of(recorded(make().run(waves(DAYS))))
    assert gap.differences == []
    assert gap.equity_difference == 0
    assert gap.backtest_hash == gap.session_hash
    assert gap.decisions > 20
    assert gap.trades > 10


def test_another_bar_is_data(recorded):
    bars = waves(DAYS)
    bars[10] = replace(bars[10], price=bars[10].price - 1, low=bars[10].low - 1)
    gap = gap_of(recorded(make().run(bars)))
    assert causes(gap) == {Cause.DATA}
    assert gap.money[Cause.DATA] == gap.equity_difference != 0


def test_a_bar_that_never_came_is_data(recorded):
    bars = waves(DAYS)
    del bars[12]
    assert causes(gap_of(recorded(make().run(bars)))) == {Cause.DATA}


def test_silent_agents_are_missing_votes(recorded):
    def silent(agent, proposal):
        late = agent in (AgentId.RISK_MANAGER, AgentId.EXECUTION)
        return None if late and proposal.symbol == "IBM" else vote_of(agent, proposal)

    gap = gap_of(recorded(make(silent).run(waves(DAYS))))
    assert causes(gap) == {Cause.MISSING_VOTE}
    assert gap.money[Cause.MISSING_VOTE] == gap.equity_difference != 0


def test_another_model_is_told_from_a_riddle(recorded):
    def doubtful(agent, proposal):
        vote = vote_of(agent, proposal, 60)
        return replace(vote, model_version=f"{agent}@2:00000000")

    assert causes(gap_of(recorded(make(doubtful).run(waves(DAYS))))) == {Cause.MODEL}


def test_other_votes_of_the_same_models_are_unexplained(recorded):
    gap = gap_of(recorded(make(lambda a, p: vote_of(a, p, 60)).run(waves(DAYS))))
    assert causes(gap) == {Cause.UNEXPLAINED}
    assert gap.unexplained == len(gap.differences) > 0


def test_decisions_behind_the_next_bar_are_latency(recorded):
    bars = waves(DAYS)
    decided = asyncio.run(make().run(bars)).decisions
    late = [replace(d, occurred_at=d.occurred_at + timedelta(hours=25)) for d in decided]
    inputs = sorted([*bars, *late], key=lambda message: message.occurred_at)
    gap = gap_of(recorded(make().execute(inputs)))
    assert Cause.LATENCY in causes(gap)
    assert not gap.unexplained


@pytest.mark.parametrize(
    ("limits", "cause"),
    [
        ({"fee_per_share": Decimal("0.01")}, Cause.FEE),
        ({"half_spread_bps": Decimal(9)}, Cause.PRICE),
        ({"maximum_participation_rate": Decimal("0.02")}, Cause.QUEUE),
    ],
)
def test_what_the_venue_answers_is_price_queue_or_fee(recorded, limits, cause):
    gap = gap_of(recorded(make(**limits).run(waves(DAYS))))
    assert cause in causes(gap)
    assert not gap.unexplained
    assert gap.money[Cause.UNEXPLAINED] == 0
    if cause is not Cause.QUEUE:
        assert causes(gap) == {cause}
        assert gap.money[cause] == gap.equity_difference < 0


def test_a_session_is_read_from_the_gateways_log(recorded):
    session = recorded(make().run(waves(10)))
    assert all(isinstance(e, MarketData | ConsensusResult) for e in session.inputs)
    assert [bar.symbol for bar in session.bars] == [bar.symbol for bar in waves(10)]
    assert Session([]).equity == 0
