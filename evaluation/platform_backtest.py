"""The whole platform with given models, on stored bars: live agents, engine and order path."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import polars as pl

from agents.market_analyst.proposing import propose
from agents.market_view import MarketView
from agents.model import Model
from agents.price_history import price_histories, to_instant
from agents.sentiment.headlines import Headlines
from agents.voting import vote
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import canonical
from domain.portfolio import Portfolio
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.rules import Rules
from domain.sessions import Sessions
from domain.settings import ServingSettings, TradingSettings
from domain.voting import AgentId, TradingProposal, Vote
from evaluation.backtest import Backtest, CastVote, Propose


class NamedModel(NamedTuple):
    """A model, as its votes and proposals name it."""

    model: Model
    label: str
    data_version: str = ""


def _always(_agent: AgentId, _proposal: TradingProposal) -> bool:
    return True


def _undisturbed(propose: Propose, cast: CastVote) -> tuple[Propose, CastVote]:
    return propose, cast


def backtest_of(
    models: Mapping[AgentId, NamedModel],
    view: MarketView,
    *,
    clock: Clock,
    metrics: Metrics,
    limits: TradingSettings,
    serving: ServingSettings,
    rules: Rules,
    headlines: Headlines | None = None,
    sessions: Sessions | None = None,
    votes_on: Callable[[AgentId, TradingProposal], bool] = _always,
    disturb: Callable[[Propose, CastVote], tuple[Propose, CastVote]] = _undisturbed,
) -> Backtest:
    """Return a backtest in which `models` propose and vote.

    Parameters
    ----------
    view
        Warmed up with all bars of the backtest: agents take of it what was known at each bar.
    sessions
        The venue's calendar; None where it is always open.
    votes_on
        Whether an agent votes on a proposal, or is silent.
    disturb
        Puts other agents in the place of these, as a stress test does.
    """
    analyst = models[AgentId.MARKET_ANALYST]

    def propose_on(bar: MarketData, portfolio: Portfolio) -> TradingProposal | None:
        return propose(
            analyst.model,
            analyst.label,
            view,
            bar,
            portfolio,
            limits=limits,
            occurred_at=bar.occurred_at,
            data_version=analyst.data_version,
            headlines=headlines,
        )

    def cast(agent: AgentId, proposal: TradingProposal) -> Vote | None:
        if not votes_on(agent, proposal):
            return None
        named = models[agent]
        return vote(
            named.model,
            named.label,
            view,
            proposal,
            occurred_at=proposal.occurred_at,
            limits=limits,
            serving=serving,
        )

    propose_as, vote_as = disturb(propose_on, cast)
    return Backtest(
        propose_as,
        vote_as,
        clock=clock,
        metrics=metrics,
        settings=limits,
        rules=rules,
        sessions=sessions,
    )


def market_data(bars: pl.DataFrame) -> Iterator[MarketData]:
    """Yield the bars' messages in order of (timestamp, symbol), with the agents' own numbers.

    Parameters
    ----------
    bars
        Columns symbol, timestamp (UTC, the bar's close), open, high, low, close, volume.
    """
    histories = price_histories(bars)
    rows = ((time, name, row) for name, h in histories.items() for row, time in enumerate(h.times))
    for time, symbol, row in sorted(rows):
        moment = to_instant(int(time))
        identity = derive_id("bar", symbol, moment.isoformat())
        opening, high, low, close, volume = (
            canonical(float(column[row])) for column in histories[symbol].prices()
        )
        yield MarketData(
            message_id=identity,
            correlation_id=identity,
            occurred_at=moment,
            symbol=symbol,
            observed_at=moment,
            price=close,
            open=opening,
            high=max(high, opening, close),
            low=min(low, opening, close),
            volume=volume,
        )
