"""Agents that have gone mad: they want everything, and are certain of it."""

from collections.abc import Sequence
from decimal import Decimal

from domain.identity import derive_id
from domain.market import MarketData
from domain.money import EXACT, canonical
from domain.portfolio import Portfolio
from domain.voting import MILLION, Action, AgentId, TradingProposal, Vote
from evaluation.backtest import CastVote, Propose

#: Model that a mad agent names.
_MAD_MODEL = "mad"


class Madness:
    """Puts mad agents in the place of some, from the moment that `began` is set.

    Parameters
    ----------
    size
        For how many times the equity a mad Market Analyst proposes to buy, on every bar.
    """

    def __init__(self, mad: Sequence[AgentId], size: float) -> None:
        self._mad = mad
        self._size = Decimal(str(size))
        self.began = False

    def disturb(self, propose: Propose, cast_vote: CastVote) -> tuple[Propose, CastVote]:
        """Return proposer and voter with the mad in their places."""

        def propose_as(bar: MarketData, portfolio: Portfolio) -> TradingProposal | None:
            if self.began and AgentId.MARKET_ANALYST in self._mad:
                return _mad_proposal(bar, portfolio, self._size)
            return propose(bar, portfolio)

        def vote_as(agent: AgentId, proposal: TradingProposal) -> Vote | None:
            if self.began and agent in self._mad:
                return _mad_vote(agent, proposal)
            return cast_vote(agent, proposal)

        return propose_as, vote_as


def _mad_proposal(bar: MarketData, portfolio: Portfolio, size: Decimal) -> TradingProposal | None:
    if portfolio.equity <= 0:
        return None
    wanted = EXACT.multiply(portfolio.equity, size)
    return TradingProposal(
        message_id=derive_id("proposal", bar.message_id, _MAD_MODEL),
        correlation_id=bar.message_id,
        causation_id=bar.message_id,
        occurred_at=bar.occurred_at,
        symbol=bar.symbol,
        action=Action.BUY,
        quantity=canonical(max(EXACT.divide_int(wanted, bar.price), Decimal(1))),
        reference_price=bar.price,
        price_target=bar.price,
        horizon_days=1,
        rationale="",
        confidence_ppm=MILLION,
        portfolio=portfolio,
        model_version=_MAD_MODEL,
    )


def _mad_vote(agent: AgentId, proposal: TradingProposal) -> Vote:
    return Vote(
        message_id=derive_id("vote", agent, proposal.proposal_id, _MAD_MODEL),
        correlation_id=proposal.correlation_id,
        causation_id=proposal.proposal_id,
        occurred_at=proposal.occurred_at,
        agent_id=agent,
        proposal_id=proposal.proposal_id,
        symbol=proposal.symbol,
        score=100,
        confidence_ppm=MILLION,
        rationale="",
        model_version=_MAD_MODEL,
    )
