"""The whole platform on simulated days: who proposes and who votes may change from day to day."""

from collections.abc import Callable

import polars as pl

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from agents.market_analyst.proposing import propose
from agents.market_view import MarketView
from agents.voting import vote
from consensus.service import rules_from
from domain.market import MarketData
from domain.portfolio import Portfolio
from domain.settings import Settings
from domain.voting import AgentId, TradingProposal, Vote
from evaluation.backtest import Backtest
from evaluation.platform_backtest import NamedModel
from orchestration.simulated_market import SimulatedMarket


def trading(
    market: SimulatedMarket,
    features: pl.DataFrame,
    settings: Settings,
    cast: Callable[[AgentId, TradingProposal], NamedModel],
    proposer: Callable[[], NamedModel],
) -> Backtest:
    """Return a back-test of the whole platform that asks at every proposal who makes it.

    Parameters
    ----------
    cast
        Returns the model that votes on a proposal for an agent.
    proposer
        Returns the model that proposes.
    """
    view = MarketView()
    view.warm_up(market.bars, features=features)

    def propose_on(bar: MarketData, portfolio: Portfolio) -> TradingProposal | None:
        named = proposer()
        return propose(
            named.model, named.label, view, bar, portfolio,
            limits=settings.trading, occurred_at=bar.occurred_at,
        )  # fmt: skip

    def vote_on(agent: AgentId, proposal: TradingProposal) -> Vote:
        named = cast(agent, proposal)
        return vote(
            named.model, named.label, view, proposal,
            occurred_at=proposal.occurred_at, limits=settings.trading, serving=settings.serving,
        )  # fmt: skip

    return Backtest(
        propose_on,
        vote_on,
        clock=EventClock(),
        metrics=PrometheusMetrics(),
        settings=settings.trading,
        rules=rules_from(settings),
    )
