"""The Risk Manager: measures what a trade does to the portfolio's risk, and vetoes breaches."""

import asyncio
from math import sqrt
from typing import NamedTuple

from agents.assessment import Abstention, Case
from agents.base import BaseAgent
from agents.exposure import weights_after, weights_before
from agents.price_history import Floats
from agents.risk_manager.correlation import (
    Shrinkage,
    denoised_correlation,
    shrunk_correlation,
    weighted_correlation,
)
from agents.risk_manager.exposure_report import ExposureReport, exposure_report
from agents.risk_manager.filtered_value_at_risk import LEVEL, filtered_value_at_risk
from agents.risk_manager.portfolio_risk import RiskInputs, risk_inputs
from agents.risk_manager.position_size import (
    PositionSize,
    error_of_mean,
    expected_of,
    fixed_fraction,
    fractional_kelly,
    liquidity_cap,
    position_size,
    shortfall_budget,
    volatility_target,
)
from agents.risk_manager.risk_parameters import (
    RiskParameters,
    excursions,
    risk_parameters,
)
from agents.risk_manager.risk_report import RiskReport, risk_report
from domain.errors import InvalidValue
from domain.metrics import Metric
from domain.voting import AgentId, TradingProposal, Vote

_TRADING_DAYS = 252


class Correlations(NamedTuple):
    """Correlations of the held symbols and the proposal's, by three estimators."""

    symbols: tuple[str, ...]
    shrunk: Shrinkage
    denoised: Shrinkage
    weighted: Floats


class RiskManager(BaseAgent):
    """Votes on the headroom that a trade leaves under the limits."""

    @property
    def agent_id(self) -> AgentId:
        """The Risk Manager."""
        return AgentId.RISK_MANAGER

    async def vote_on_decision(self, proposal: TradingProposal) -> Vote:
        """Return the vote, and show the zone that the value at risk's back-test is in."""
        cast = await super().vote_on_decision(proposal)
        zone = cast.risk_assessment.get("backtest_zone")
        if zone is not None:
            self.metrics.gauge(Metric.RISK_BACKTEST_ZONE, float(zone))
        return cast

    async def calculate_var_and_cvar(
        self, proposal: TradingProposal, level: float = LEVEL
    ) -> RiskReport | None:
        """Return VaR and CVaR of the portfolio after the trade; None where nothing is held.

        Raises
        ------
        InvalidValue
            If the bar or the history for it is missing, or the level is no confidence.
        """
        _, inputs = await self._inputs(proposal)
        before, after = weights_before(proposal.portfolio), weights_after(proposal)
        # Simulation takes a few hundredths of a second, in which votes are not to wait.
        return await asyncio.to_thread(
            risk_report, inputs.vector(before), inputs.vector(after), inputs, level=level
        )

    async def monitor_portfolio_exposure(self, proposal: TradingProposal) -> ExposureReport:
        """Return the portfolio's exposures and use of the limits once the trade is done.

        Raises
        ------
        InvalidValue
            If the bar or the history for it is missing.
        """
        case, inputs = await self._inputs(proposal)
        return exposure_report(weights_after(proposal), inputs, case)

    async def analyze_correlations(self, proposal: TradingProposal) -> Correlations:
        """Return the correlations of all held symbols and the proposal's.

        Raises
        ------
        InvalidValue
            If the bar or the history for it is missing.
        """
        _, inputs = await self._inputs(proposal)
        standardised = inputs.filtered.standardised
        return Correlations(
            inputs.symbols,
            shrunk_correlation(standardised),
            denoised_correlation(standardised),
            weighted_correlation(inputs.returns),
        )

    async def set_risk_parameters(self, proposal: TradingProposal) -> RiskParameters:
        """Return where the position that is proposed would be closed.

        Raises
        ------
        InvalidValue
            If nothing is traded, or the bar or the history for it is missing.
        """
        case, inputs = await self._inputs(proposal)
        return self._parameters(case, inputs)

    async def calculate_position_size(self, proposal: TradingProposal) -> PositionSize:
        """Return how large a position in the proposal's symbol may be at most, and what binds.

        The expected return is the smaller of what the proposal aims at and what its calibrated
        confidence is worth; its error is that of a mean measured on the same history.

        Raises
        ------
        InvalidValue
            If nothing is traded, there is no equity, or the bar or the history is missing.
        """
        case, inputs = await self._inputs(proposal)
        limits, days = case.limits, proposal.horizon_days
        own = inputs.symbols.index(proposal.symbol)
        volatility = float(inputs.volatilities[own])
        equity = float(proposal.portfolio.equity)
        weights = weights_before(proposal.portfolio)
        gross = sum(abs(w) for symbol, w in weights.items() if symbol != proposal.symbol)
        unit = [float(place == own) for place in range(len(inputs.symbols))]
        alone = filtered_value_at_risk(
            case.direction * inputs.vector(dict(zip(inputs.symbols, unit, strict=True))),
            inputs.filtered,
        )
        horizon = volatility * sqrt(days)
        aim = case.direction * (float(proposal.price_target / proposal.reference_price) - 1.0)
        # A confidence of exactly 0 or 1 would be worth infinitely much.
        chance = min(max(proposal.confidence_ppm / 1e6, 0.001), 0.999)
        return position_size(
            {
                "fixed_fraction": fixed_fraction(
                    float(limits.risk_per_trade), self._parameters(case, inputs).stop_distance
                ),
                "volatility_target": volatility_target(
                    float(limits.position_volatility), volatility * sqrt(_TRADING_DAYS)
                ),
                "kelly": fractional_kelly(
                    min(aim, expected_of(chance, horizon)),
                    error_of_mean(volatility, days, len(inputs.returns)),
                    horizon,
                    float(limits.kelly_fraction),
                ),
                "expected_shortfall": shortfall_budget(
                    float(limits.position_expected_shortfall), alone.expected_shortfall
                ),
                "liquidity": liquidity_cap(
                    inputs.daily_values[proposal.symbol],
                    float(limits.maximum_participation_rate),
                    float(limits.maximum_liquidation_days),
                    equity,
                ),
                "position_fraction": float(limits.maximum_position_fraction),
                "gross_exposure": float(limits.maximum_gross_exposure) - gross,
            }
        )

    def _parameters(self, case: Case, inputs: RiskInputs) -> RiskParameters:
        proposal = case.proposal
        return risk_parameters(
            excursions(
                self.view.history(proposal.symbol, case.at), case.direction, proposal.horizon_days
            ),
            price=float(proposal.reference_price),
            direction=case.direction,
            daily_volatility=float(inputs.volatilities[inputs.symbols.index(proposal.symbol)]),
            horizon_days=proposal.horizon_days,
        )

    async def _inputs(self, proposal: TradingProposal) -> tuple[Case, RiskInputs]:
        case = await self.case(proposal)
        if case is None:
            raise _missing("the proposal's bar is missing")
        weights = weights_before(proposal.portfolio) | weights_after(proposal)
        inputs = risk_inputs(self.model, case, weights)
        if isinstance(inputs, Abstention):
            raise _missing(inputs.reason)
        return case, inputs


def _missing(what: str) -> InvalidValue:
    return InvalidValue(
        f"Risk can't be measured: {what}.", next_step="Warm the view up with more history."
    )
