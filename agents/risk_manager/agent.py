"""The Risk Manager: measures what a trade does to the portfolio's risk, and vetoes breaches."""

from math import exp

from agents.assessment import Abstention, Case
from agents.base import BaseAgent
from agents.exposure import weights_after, weights_before
from agents.risk_manager.exposure_limits import (
    PositionSize,
    Utilisation,
    position_size,
    utilisation,
)
from agents.risk_manager.judgement import forecast_volatility, portfolio_risk
from agents.risk_manager.value_at_risk import ValueAtRisk
from domain.errors import InvalidValue
from domain.voting import AgentId, TradingProposal


class RiskManager(BaseAgent):
    """Votes on the headroom that a trade leaves under the limits."""

    @property
    def agent_id(self) -> AgentId:
        """The Risk Manager."""
        return AgentId.RISK_MANAGER

    async def calculate_var_and_cvar(self, proposal: TradingProposal) -> ValueAtRisk | None:
        """Return VaR and CVaR of the portfolio after the trade; None where nothing is held.

        Raises
        ------
        InvalidValue
            If the bar or the history for it is missing.
        """
        case = await self._case(proposal)
        return _known(
            portfolio_risk(weights_after(proposal), case, forecast_volatility(self.model, case))
        )

    async def monitor_portfolio_exposure(self, proposal: TradingProposal) -> Utilisation:
        """Return how much of each limit the portfolio uses once the trade is done.

        Raises
        ------
        InvalidValue
            If the bar or the history for it is missing.
        """
        return utilisation(
            weights_after(proposal),
            proposal.symbol,
            await self.calculate_var_and_cvar(proposal),
            self.settings.trading,
        )

    async def calculate_position_size(self, proposal: TradingProposal) -> PositionSize:
        """Return how much of the symbol may be bought at most, and which limit binds.

        Raises
        ------
        InvalidValue
            If the bar or the history for it is missing.
        """
        case = await self._case(proposal)
        volatility = forecast_volatility(self.model, case)(proposal.symbol)
        if volatility is None:
            raise _missing(f"history of {proposal.symbol} is too short")
        volume = exp(self.view.history(proposal.symbol, case.at).usual_log_volume())
        return position_size(
            weights_before(proposal.portfolio),
            proposal.symbol,
            daily_volatility=volatility,
            daily_volume_value=volume * float(proposal.reference_price),
            equity=float(proposal.portfolio.equity),
            limits=self.settings.trading,
        )

    async def _case(self, proposal: TradingProposal) -> Case:
        case = await self.case(proposal)
        if case is None:
            raise _missing("the proposal's bar is missing")
        return case


def _known(risk: ValueAtRisk | Abstention | None) -> ValueAtRisk | None:
    if isinstance(risk, Abstention):
        raise _missing(risk.reason)
    return risk


def _missing(what: str) -> InvalidValue:
    return InvalidValue(
        f"Risk can't be measured: {what}.", next_step="Warm the view up with more history."
    )
