"""The Portfolio Optimizer: target weights, and votes on the marginal utility of a trade."""

from agents.assessment import Abstention
from agents.base import BaseAgent
from agents.portfolio_optimizer.judgement import Allocation, target_allocation
from domain.voting import AgentId, TradingProposal


class PortfolioOptimizer(BaseAgent):
    """Votes on whether a trade moves the portfolio toward where it should be, after costs."""

    @property
    def agent_id(self) -> AgentId:
        """The Portfolio Optimizer."""
        return AgentId.PORTFOLIO_OPTIMIZER

    async def optimize_allocation(self, proposal: TradingProposal) -> Allocation | Abstention:
        """Return the target weights as of the proposal, or why there are none."""
        case = await self.case(proposal)
        if case is None:
            return Abstention("inputs missing: the proposal's bar")
        return target_allocation(self.model, case)
