"""Event-driven backtest: the live engine, order path and paper venue, in one process.

Nothing is simulated that the platform has: bars go through `trading.gateway.Gateway`, proposals
and votes through `consensus.engine.Engine`, in the order in which a replay over the bus takes them
(one symbol's bar at a time; after each instant, logical time passes every deadline). A backtest and
a replay of the same bars with the same agents therefore decide, order and fill alike.

What it does not claim: fills come from bars (see `trading.paper_venue`), dividends and splits are
in the prices, and no order of ours moves any later price.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from consensus.engine import Engine
from domain.experience import Experience
from domain.identity import derive_id
from domain.market import MarketData, Tick
from domain.messages import Message
from domain.orders import ExecutionReport, OrderUpdated
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.rules import Rules
from domain.sessions import Sessions
from domain.settings import TradingSettings
from domain.voting import AgentId, ConsensusResult, TradingProposal, Vote
from trading.gateway import Gateway
from trading.order_context import Surroundings
from trading.paper_venue import PaperVenue
from trading.planner import ExecutionPlanner

#: Makes a proposal of a bar and the portfolio after it, or None to leave things as they are.
Propose = Callable[[MarketData, Portfolio], TradingProposal | None]
#: Gives an agent's vote on a proposal, or None if it has none (a dead or slow agent).
CastVote = Callable[[AgentId, TradingProposal], Vote | None]

#: (timestamp, equity in USD, cash in USD).
EquityPoint = tuple[datetime, Decimal, Decimal]

#: How far logical time moves past an instant before the next one, as in a replay.
_AFTER_AN_INSTANT = timedelta(hours=1)


@dataclass(slots=True)
class BacktestResult:
    """What happened, in order.

    Parameters
    ----------
    decisions, orders, fills, experiences
        The messages that a replay would record.
    equity_points
        Equity and cash after each bar.
    portfolio
        At the end.
    """

    portfolio: Portfolio
    decisions: list[ConsensusResult] = field(default_factory=list[ConsensusResult])
    orders: list[OrderUpdated] = field(default_factory=list[OrderUpdated])
    fills: list[ExecutionReport] = field(default_factory=list[ExecutionReport])
    experiences: list[Experience] = field(default_factory=list[Experience])
    equity_points: list[EquityPoint] = field(default_factory=list[EquityPoint])

    @property
    def equity_curve(self) -> pl.DataFrame:
        """Equity and cash (USD, Float64) at each timestamp, after its last bar."""
        latest = {moment: (equity, cash) for moment, equity, cash in self.equity_points}
        return pl.DataFrame(
            {
                "timestamp": list(latest),
                "equity": [float(equity) for equity, _ in latest.values()],
                "cash": [float(cash) for _, cash in latest.values()],
            },
            schema={
                "timestamp": pl.Datetime("us", "UTC"),
                "equity": pl.Float64,
                "cash": pl.Float64,
            },
        )

    def take(self, events: Iterable[Message]) -> None:
        """Sort events into their lists."""
        for event in events:
            match event:
                case OrderUpdated():
                    self.orders.append(event)
                case ExecutionReport():
                    self.fills.append(event)
                case Experience():
                    self.experiences.append(event)
                case PortfolioUpdated(portfolio=portfolio):
                    self.portfolio = portfolio
                    self.equity_points.append((event.occurred_at, portfolio.equity, portfolio.cash))
                case _:
                    pass


class Backtest:
    """One run over bars.

    Parameters
    ----------
    propose, vote
        The agents, as pure functions.
    clock
        An event clock: time comes from the bars.
    metrics
        Counts as a live gateway would.
    settings
        Portfolio, controls and paper venue.
    rules
        Thresholds and deadlines of the consensus.
    agents
        Who votes.
    sessions
        The venue's calendar; None where it is always open.
    """

    def __init__(
        self,
        propose: Propose,
        vote: CastVote,
        *,
        clock: Clock,
        metrics: Metrics,
        settings: TradingSettings,
        rules: Rules,
        agents: Sequence[AgentId] = tuple(AgentId),
        sessions: Sessions | None = None,
    ) -> None:
        self._propose = propose
        self._vote = vote
        self._agents = agents
        self._clock = clock
        self._engine = Engine(rules)
        venue, around = PaperVenue(settings, sessions), Surroundings(sessions=sessions)
        plan = ExecutionPlanner(settings, metrics)
        self._gateway = Gateway(venue, clock, metrics, settings, around, plan=plan)
        self._result = BacktestResult(self._gateway.portfolio)

    async def run(self, bars: Iterable[MarketData]) -> BacktestResult:
        """Return what happens over `bars`, given in order of (timestamp, symbol)."""
        latest: datetime | None = None
        for bar in bars:
            if latest is not None and bar.occurred_at > latest:
                await self._pass_time(latest)
            latest = bar.occurred_at
            await self._on_bar(bar)
        if latest is not None:
            await self._pass_time(latest)
        return self._result

    async def execute(self, inputs: Iterable[MarketData | ConsensusResult]) -> BacktestResult:
        """Return what the order path makes of bars and of decisions that were taken elsewhere."""
        for message in inputs:
            if isinstance(message, MarketData):
                self._result.take(await self._gateway.on_market_data(message))
                self._result.take(await self._gateway.dispatch())
            else:
                await self._order(message)
        return self._result

    async def _on_bar(self, bar: MarketData) -> None:
        self._result.take(await self._gateway.on_market_data(bar))
        self._result.take(await self._gateway.dispatch())
        proposal = self._propose(bar, self._result.portfolio)
        if proposal is None:
            return
        await self._decide(proposal)
        for agent in self._agents:
            if (vote := self._vote(agent, proposal)) is not None:
                await self._decide(vote)

    async def _pass_time(self, moment: datetime) -> None:
        after = moment + _AFTER_AN_INSTANT
        identity = derive_id("tick", 0, after.isoformat())
        await self._decide(Tick(message_id=identity, correlation_id=identity, occurred_at=after))

    async def _decide(self, message: Message) -> None:
        """Give the engine a message and the order path what it decides."""
        for event in self._engine.apply(message):
            if isinstance(event, ConsensusResult):
                await self._order(event)

    async def _order(self, decision: ConsensusResult) -> None:
        self._result.decisions.append(decision)
        self._result.take(await self._gateway.on_decision(decision))
        self._result.take(await self._gateway.dispatch())
