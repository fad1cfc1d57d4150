"""The Execution agent: prices a trade by forecast volume and range, and plans its slices."""

from agents.base import BaseAgent
from agents.execution.judgement import forecast_liquidity
from agents.execution.schedule import Slice, equal_slices, volume_slices
from domain.voting import AgentId, TradingProposal

#: Below this share of the day's volume the volume's course doesn't matter: even slices do.
SMALL_PARTICIPATION = 0.01
_SLICES = 6


class Execution(BaseAgent):
    """Votes on how much of a proposal's edge its execution leaves."""

    @property
    def agent_id(self) -> AgentId:
        """The Execution agent."""
        return AgentId.EXECUTION

    async def optimize_execution_timing(self, proposal: TradingProposal) -> list[Slice]:
        """Return a schedule whose slices sum to the proposal's quantity.

        Even slices for a small share of the forecast volume; else along the day's volume curve.
        """
        quantity = int(proposal.quantity)
        case = await self.case(proposal)
        liquidity = None if case is None else forecast_liquidity(self.model, case)
        if liquidity is not None and quantity < SMALL_PARTICIPATION * liquidity.volume:
            return equal_slices(quantity, _SLICES)
        return volume_slices(quantity)
