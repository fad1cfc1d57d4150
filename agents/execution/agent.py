"""The Execution agent: prices a trade by forecast volume and range, plans, routes, watches it."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from msgspec.structs import replace

from agents.assessment import Case
from agents.base import BaseAgent
from agents.execution.judgement import forecast_liquidity
from agents.execution.monitoring import MarketTape, Progress, Step, monitor
from agents.execution.planning import RISK_AVERSION, ParentOrder, plan
from agents.execution.routing import Route, Venue, split_order
from agents.execution.volume_curve import (
    BUCKET_SECONDS,
    VolumeForecast,
    session_volumes,
    update,
    volume_curve,
)
from agents.exposure import BASIS_POINTS
from domain.errors import InvalidValue
from domain.execution_plan import Algorithm, ChildOrder, ExecutionPlan
from domain.orders import ExecutionReport, Side
from domain.settings import TradingSettings
from domain.voting import Action, AgentId, TradingProposal


class Execution(BaseAgent):
    """Votes on how much of a proposal's edge its execution leaves."""

    @property
    def agent_id(self) -> AgentId:
        """The Execution agent."""
        return AgentId.EXECUTION

    async def execute_trade(
        self, proposal: TradingProposal, venues: Sequence[Venue] = ()
    ) -> ExecutionPlan:
        """Return what the order path is to send: the plan, each child split over the venues.

        Without venues all goes to the paper venue.

        Raises
        ------
        InvalidValue
            If a HOLD is to be executed, the bar or the history for it is missing, or `plan` or
            `split_order` refuses.
        """
        case = await self._case(proposal)
        return routed(
            self._plan(case, None),
            venues or (paper_venue(self.settings.trading, float(proposal.reference_price)),),
        )

    async def optimize_execution_timing(
        self, proposal: TradingProposal, algorithm: Algorithm | None = None
    ) -> ExecutionPlan:
        """Return a plan whose children sum to the proposal's quantity, not yet routed.

        By the cheapest algorithm, or by the one that is asked for.

        Raises
        ------
        InvalidValue
            As `execute_trade`.
        """
        return self._plan(await self._case(proposal), algorithm)

    async def route_order(
        self, quantity: int, venues: Sequence[Venue], *, volatility_bps: float = 0.0
    ) -> tuple[Route, ...]:
        """Return the cheapest split of a child order over venues.

        Raises
        ------
        InvalidValue
            As `agents.execution.routing.split_order`.
        """
        return split_order(quantity, venues, volatility_bps=volatility_bps)

    async def monitor_execution(
        self,
        proposal: TradingProposal,
        present: ExecutionPlan,
        reports: Sequence[ExecutionReport],
        tape: MarketTape,
        *,
        traded: Sequence[float],
        session: int = 0,
    ) -> tuple[Progress, ExecutionPlan | None]:
        """Return how a plan goes, and a plan for the rest where the rules ask for one.

        Parameters
        ----------
        traded
            The market's volume in each bucket of the session that has passed.

        Raises
        ------
        InvalidValue
            As `execute_trade` and `agents.execution.monitoring.monitor`.
        """
        case = await self._case(proposal)
        order, forecast = self._order(case)
        passed = len(traded)
        progress = monitor(
            present,
            reports,
            tape,
            session=session,
            seconds=max(passed * BUCKET_SECONDS - 1, 0),
            expected_volume=float(forecast.buckets[:passed].sum()),
        )
        if progress.step is not Step.REPLAN:
            return progress, None
        filled = int(sum((report.quantity for report in reports), Decimal(0)))
        known = update(forecast, np.array(traded, dtype=np.float64))
        rest = order._replace(quantity=order.quantity - filled)
        # A session that is over leaves its rest to the next.
        first = passed % len(forecast.curve)
        later = plan(rest, known if first else forecast, self.settings.trading, first_bucket=first)
        return progress, _from_session(later, session + (passed > 0 and not first))

    async def _case(self, proposal: TradingProposal) -> Case:
        if proposal.action is Action.HOLD:
            raise _missing("nothing is traded")
        case = await self.case(proposal)
        if case is None:
            raise _missing("the proposal's bar is missing")
        return case

    def _plan(self, case: Case, algorithm: Algorithm | None) -> ExecutionPlan:
        order, forecast = self._order(case)
        return plan(
            order,
            forecast,
            self.settings.trading,
            risk_aversion=RISK_AVERSION,
            algorithm=algorithm,
        )

    def _order(self, case: Case) -> tuple[ParentOrder, VolumeForecast]:
        proposal = case.proposal
        liquidity = forecast_liquidity(self.model, case)
        if liquidity is None:
            raise _missing(f"history of {proposal.symbol} is too short")
        order = ParentOrder(
            proposal.proposal_id,
            proposal.symbol,
            Side.BUY if proposal.action is Action.BUY else Side.SELL,
            int(proposal.quantity),
            float(proposal.reference_price),
            liquidity.volatility,
        )
        history = case.view.history(proposal.symbol, case.at)
        return order, VolumeForecast(volume_curve(session_volumes(history)), liquidity.volume)


def routed(unrouted: ExecutionPlan, venues: Sequence[Venue]) -> ExecutionPlan:
    """Return a plan whose every child is split over the venues."""
    children: list[ChildOrder] = []
    for child in unrouted.children:
        for route in split_order(int(child.quantity), venues):
            part = Decimal(route.quantity)
            children.append(replace(child, quantity=part, venue=route.venue))
    return replace(unrouted, children=tuple(children))


def paper_venue(limits: TradingSettings, price: float) -> Venue:
    """Return the paper venue as a lit one, by the same spread and fee that it charges."""
    fee = float(limits.fee_per_share) / price * BASIS_POINTS
    return Venue("paper", fee_bps=fee, half_spread_bps=float(limits.half_spread_bps))


def _from_session(later: ExecutionPlan, session: int) -> ExecutionPlan:
    children = tuple(replace(c, session=c.session + session) for c in later.children)
    return replace(later, children=children)


def _missing(what: str) -> InvalidValue:
    return InvalidValue(
        f"The trade can't be planned: {what}.",
        next_step="Warm the view up with more history, or send a proposal that trades.",
    )
