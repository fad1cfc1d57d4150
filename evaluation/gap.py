"""How far a paper session lies from the backtest of its days, and why, trade by trade.

Nothing is guessed. From the backtest to the session leads a ladder of runs; each rung gives the
backtest one more thing as the session had it, and what changes on that rung is due to that thing:

1. `DATA`: the bars as they came in;
2. `MISSING_VOTE`: agents silent where they were;
3. `MODEL`, `LATENCY`: the session's own decisions, when and where they came among the bars;
4. `PRICE`, `QUEUE`, `FEE`: what the venue answered to the same orders.

Money telescopes: the rungs' changes of equity sum exactly to the whole gap. What no rung
explains is `UNEXPLAINED`; on the same feed with the same models it is nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from msgspec.structs import replace

from domain.market import MarketData
from domain.messages import Message
from domain.money import EXACT, ZERO
from domain.orders import ExecutionReport, OrderUpdated
from domain.portfolio import PortfolioUpdated
from domain.voting import AgentId, ConsensusResult, CountedVote, TradingProposal
from evaluation.backtest import BacktestResult
from evaluation.trades import Trade, trade_hash, trades_of


class Cause(StrEnum):
    """Why a trade of the session differs from that of the backtest."""

    DATA = "data"
    MISSING_VOTE = "missing vote"
    MODEL = "model"
    LATENCY = "latency"
    PRICE = "price"
    QUEUE = "queue"
    FEE = "fee"
    UNEXPLAINED = "unexplained"


class Difference(NamedTuple):
    """One trade that one cause changed, from `before` to `after` (None: there was none)."""

    cause: Cause
    bar: str
    symbol: str
    proposed_at: datetime
    before: Trade | None
    after: Trade | None


class Gap(NamedTuple):
    """All that lies between a backtest and a session.

    Parameters
    ----------
    decisions, trades
        Of the session: decisions taken, and those of them that filled.
    money
        Cause → change of the equity at the end (USD); they sum to `equity_difference`.
    backtest_hash, session_hash
        Of the trades (`evaluation.trades.trade_hash`).
    """

    decisions: int
    trades: int
    differences: Sequence[Difference]
    money: Mapping[Cause, Decimal]
    equity_difference: Decimal
    backtest_hash: str
    session_hash: str

    @property
    def counts(self) -> dict[Cause, int]:
        """How many differences each cause made."""
        causes = [difference.cause for difference in self.differences]
        return {cause: causes.count(cause) for cause in Cause}

    @property
    def unexplained(self) -> int:
        """Differences that nothing explains."""
        return self.counts[Cause.UNEXPLAINED]


class Session:
    """What a gateway recorded.

    Parameters
    ----------
    events
        Its log, oldest first and from its beginning.
    """

    def __init__(self, events: Sequence[Message]) -> None:
        self.inputs = [e for e in events if isinstance(e, MarketData | ConsensusResult)]
        self.bars = [e for e in self.inputs if isinstance(e, MarketData)]
        self.decisions = [e for e in self.inputs if isinstance(e, ConsensusResult)]
        self.orders = [e for e in events if isinstance(e, OrderUpdated)]
        self.fills = [e for e in events if isinstance(e, ExecutionReport)]
        self._portfolios = [e.portfolio for e in events if isinstance(e, PortfolioUpdated)]

    @cached_property
    def trades(self) -> dict[str, Trade]:
        """Bar → what became of the decision on it."""
        return trades_of(self.decisions, self.orders, self.fills)

    @property
    def equity(self) -> Decimal:
        """At the end (USD); 0 where there was no bar."""
        return self._portfolios[-1].equity if self._portfolios else ZERO

    def votes_on(self, agent: AgentId, proposal: TradingProposal) -> bool:
        """Whether the session had the agent's vote on the proposal, counted or not."""
        voters = self._voters.get(proposal.causation_id)
        return voters is None or agent in voters

    @cached_property
    def silent(self) -> bool:
        """Whether an agent's vote was missing on any proposal."""
        return any(len(voters) < len(AgentId) for voters in self._voters.values())

    @cached_property
    def _voters(self) -> dict[str, set[str]]:
        return {
            decision.proposal.causation_id: {
                vote.agent_id for vote in (*decision.counted, *decision.ignored)
            }
            for decision in reversed(self.decisions)
        }


#: Runs the backtest over bars, given who votes on what.
RunBacktest = Callable[
    [Sequence[MarketData], Callable[[AgentId, TradingProposal], bool]], BacktestResult
]
#: Runs the order path over the bars and decisions of a session.
RunOrders = Callable[[Sequence[MarketData | ConsensusResult]], BacktestResult]


def measure(
    session: Session, stored: Sequence[MarketData], backtest: RunBacktest, orders: RunOrders
) -> Gap:
    """Return what lies between the backtest over `stored` bars and the session."""
    first = run = backtest(stored, lambda _agent, _proposal: True)
    found: list[Difference] = []
    money = dict.fromkeys(Cause, ZERO)

    def climb(cause: Cause, after: BacktestResult) -> None:
        found.extend(_changes(cause, _trades(run), _trades(after)))
        money[cause] = EXACT.add(money[cause], _change(run.portfolio.equity, after))

    if _content(stored) != _content(session.bars):
        after = backtest(session.bars, lambda _agent, _proposal: True)
        climb(Cause.DATA, after)
        run = after
    if session.silent:
        after = backtest(session.bars, session.votes_on)
        climb(Cause.MISSING_VOTE, after)
        run = after
    if run.decisions != session.decisions:
        after = orders(session.inputs)
        climb(_why_decided_otherwise(run.decisions, session.decisions), after)
        run = after
    last = list(_venue_changes(_trades(run), session.trades))
    rest = EXACT.subtract(session.equity, run.portfolio.equity)
    for cause, amount in _shares(last, rest).items():
        money[cause] = EXACT.add(money[cause], amount)
    return Gap(
        decisions=len(session.decisions),
        trades=sum(bool(trade.fills) for trade in session.trades.values()),
        differences=[*found, *last],
        money=money,
        equity_difference=EXACT.subtract(session.equity, first.portfolio.equity),
        backtest_hash=trade_hash(first.fills),
        session_hash=trade_hash(session.fills),
    )


def _shares(differences: Sequence[Difference], whole: Decimal) -> dict[Cause, Decimal]:
    """Divide what the venue's answers changed: each cash flow by its cause, the rest by queue.

    What was filled more or less is held since, so its worth follows the market.
    """
    found: dict[Cause, Decimal] = {}
    rest = whole
    for difference in differences:
        if difference.cause in (Cause.PRICE, Cause.FEE) and difference.before and difference.after:
            share = EXACT.subtract(difference.after.cash, difference.before.cash)
            found[difference.cause] = EXACT.add(found.get(difference.cause, ZERO), share)
            rest = EXACT.subtract(rest, share)
    if rest:
        causes = [difference.cause for difference in differences]
        of_rest = Cause.QUEUE if Cause.QUEUE in causes else (causes or [Cause.UNEXPLAINED])[0]
        found[of_rest] = EXACT.add(found.get(of_rest, ZERO), rest)
    return found


def _trades(run: BacktestResult) -> dict[str, Trade]:
    return trades_of(run.decisions, run.orders, run.fills)


def _change(before: Decimal, after: BacktestResult) -> Decimal:
    return EXACT.subtract(after.portfolio.equity, before)


def _content(bars: Sequence[MarketData]) -> list[MarketData]:
    """Return what bars say of the market, without what an agent computed of them."""
    return [replace(bar, technical_indicators={}) for bar in bars]


def _changes(
    cause: Cause, before: Mapping[str, Trade], after: Mapping[str, Trade]
) -> list[Difference]:
    return [
        _difference(cause, before.get(bar), after.get(bar))
        for bar in dict.fromkeys((*before, *after))
        if _result(before.get(bar)) != _result(after.get(bar))
    ]


def _result(trade: Trade | None) -> tuple[object, ...] | None:
    return None if trade is None else trade.result


def _difference(cause: Cause, before: Trade | None, after: Trade | None) -> Difference:
    either = after or before
    assert either is not None  # noqa: S101 - one of the two is there
    return Difference(cause, either.bar, either.symbol, either.proposed_at, before, after)


def _why_decided_otherwise(
    ours: Sequence[ConsensusResult], theirs: Sequence[ConsensusResult]
) -> Cause:
    """Return what made the same agents on the same bars decide otherwise; evidence is needed."""
    if _models(ours) != _models(theirs):
        return Cause.MODEL
    if [d.occurred_at for d in ours] != [d.occurred_at for d in theirs]:
        return Cause.LATENCY
    return Cause.UNEXPLAINED


def _models(decisions: Sequence[ConsensusResult]) -> set[tuple[str, str]]:
    votes: list[CountedVote] = [vote for d in decisions for vote in d.counted]
    proposers = {("proposer", d.proposal.model_version) for d in decisions}
    return proposers | {(vote.agent_id, vote.model_version) for vote in votes}


def _venue_changes(ours: Mapping[str, Trade], theirs: Mapping[str, Trade]) -> list[Difference]:
    """Return what a venue made of the same orders; what follows from that later is its doing."""
    found: list[Difference] = []
    for change in _changes(Cause.UNEXPLAINED, ours, theirs):
        cause = _answered_otherwise(change.before, change.after)
        if cause is Cause.UNEXPLAINED and found and found[0].cause is not Cause.UNEXPLAINED:
            cause = found[0].cause  # another position or cash since then
        found.append(change._replace(cause=cause))
    return found


def _answered_otherwise(before: Trade | None, after: Trade | None) -> Cause:
    if before is None or after is None or before.decided != after.decided:
        return Cause.UNEXPLAINED
    if [quantity for quantity, _, _ in before.orders] != [q for q, _, _ in after.orders]:
        return Cause.UNEXPLAINED
    if before.filled != after.filled or len(before.fills) != len(after.fills):
        return Cause.QUEUE if before.orders and not _denied(before, after) else Cause.UNEXPLAINED
    if [fill.executed_at for fill in before.fills] != [f.executed_at for f in after.fills]:
        return Cause.LATENCY
    if [fill.price for fill in before.fills] != [fill.price for fill in after.fills]:
        return Cause.PRICE
    return Cause.FEE if before.fee != after.fee else Cause.UNEXPLAINED


def _denied(*trades: Trade) -> bool:
    return any(control for trade in trades for _, _, control in trade.orders)
