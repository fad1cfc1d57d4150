"""The Portfolio Optimizer: target weights, and votes on the marginal utility of a trade."""

from dataclasses import replace

import numpy as np

from agents.assessment import Abstention, Case
from agents.base import BaseAgent
from agents.exposure import BASIS_POINTS, cost_bps, weights_after, weights_before
from agents.portfolio_optimizer.allocation import Objective, Preferences, allocate
from agents.portfolio_optimizer.black_litterman import analyst_view
from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.diversification import Diversification, diversification
from agents.portfolio_optimizer.estimation import Estimates
from agents.portfolio_optimizer.frontier import Frontier
from agents.portfolio_optimizer.judgement import Allocation, outlook, target_allocation
from agents.portfolio_optimizer.mean_variance import frontier
from agents.portfolio_optimizer.pareto import Front, front_of
from agents.portfolio_optimizer.rebalancing import Holding, Rebalancing, rebalance
from domain.money import ZERO, canonical
from domain.voting import AgentId, TradingProposal


class PortfolioOptimizer(BaseAgent):
    """Votes on whether a trade moves the portfolio toward where it should be, after costs.

    Its methods answer as of a proposal: from its portfolio, and from what was known at its bar;
    an abstention says why there is no answer. All figures are per day.
    """

    @property
    def agent_id(self) -> AgentId:
        """The Portfolio Optimizer."""
        return AgentId.PORTFOLIO_OPTIMIZER

    async def optimize_allocation(
        self,
        proposal: TradingProposal,
        objective: Objective | None = None,
        constraints: Constraints | None = None,
        preferences: Preferences | None = None,
    ) -> Allocation | Abstention:
        """Return target weights: the model's, or those of an objective.

        Black–Litterman takes the proposal as the Market Analyst's view, beside those given.

        Raises
        ------
        ConflictingConstraints
            If no weights keep the constraints; it names those in conflict.
        InvalidValue
            If the objective has no optimum.
        """
        case = await self.case(proposal)
        if case is None:
            return _NO_BAR
        if objective is None:
            return target_allocation(self.model, case)
        known = self._estimates(case)
        if isinstance(known, Abstention):
            return known
        wanted = preferences or Preferences()
        if objective is Objective.BLACK_LITTERMAN:
            view = analyst_view(proposal, known.symbols, known.covariance, wanted.tau)
            views = wanted.views if view is None else (*wanted.views, view)
            wanted = replace(wanted, views=views)
        best = allocate(objective, known, constraints, wanted)
        return Allocation(list(known.symbols), best.weights, known.covariance)

    async def suggest_rebalancing(
        self, proposal: TradingProposal, target: Allocation | None = None
    ) -> Rebalancing | Abstention:
        """Return the trades from the proposal's portfolio toward the target worth their cost.

        The target is the model's where not given; what it doesn't name is left as it is.
        """
        case = await self.case(proposal)
        if case is None:
            return _NO_BAR
        aim = target or target_allocation(self.model, case)
        if isinstance(aim, Abstention):
            return aim
        holdings = tuple(self._holding(case, aim, place) for place in range(len(aim.symbols)))
        constants = self.model.specification.constants
        return rebalance(
            holdings,
            proposal.portfolio.buying_power,
            aim.weights,
            aim.covariance,
            benefit=constants["risk_aversion"] * constants["review_days"],
        )

    async def calculate_efficient_frontier(
        self, proposal: TradingProposal, constraints: Constraints | None = None
    ) -> Frontier | Abstention:
        """Return all turning points of the frontier within bounds.

        Raises
        ------
        ConflictingConstraints
            If no weights keep the bounds.
        """
        known = await self._known(proposal)
        if isinstance(known, Abstention):
            return known
        return frontier(known, constraints or Constraints())

    async def analyze_diversification(
        self, proposal: TradingProposal
    ) -> tuple[Diversification | None, Diversification | None] | Abstention:
        """Return how diversified the portfolio is before and after the trade.

        None where none of the assets with estimates is held.
        """
        known = await self._known(proposal)
        if isinstance(known, Abstention):
            return known

        def measured(held: dict[str, float]) -> Diversification | None:
            weights = np.array([held.get(symbol, 0.0) for symbol in known.symbols])
            return diversification(weights, known.covariance) if weights.any() else None

        return measured(weights_before(proposal.portfolio)), measured(weights_after(proposal))

    async def compare_allocations(
        self,
        proposal: TradingProposal,
        measures: tuple[str, ...] = ("expected_return", "expected_shortfall", "effective_bets"),
        constraints: Constraints | None = None,
    ) -> Front | Abstention:
        """Return the objectives' allocations that none other beats in all `measures`."""
        known = await self._known(proposal)
        if isinstance(known, Abstention):
            return known
        kept = constraints or Constraints()
        candidates = [allocate(objective, known, kept).weights for objective in _COMPARED]
        return front_of(candidates, measures, known, kept)

    async def _known(self, proposal: TradingProposal) -> Estimates | Abstention:
        case = await self.case(proposal)
        return _NO_BAR if case is None else self._estimates(case)

    def _estimates(self, case: Case) -> Estimates | Abstention:
        known = outlook(self.model, case)
        return known if isinstance(known, Abstention) else known.estimates

    def _holding(self, case: Case, aim: Allocation, place: int) -> Holding:
        symbol = aim.symbols[place]
        own = symbol == case.proposal.symbol
        close = case.view.history(symbol, case.at, inclusive=own).close[-1]
        cost = cost_bps(
            case.limits,
            price=float(close),
            daily_volatility=float(aim.covariance[place, place]) ** 0.5,
            participation=0.0,
        )
        held = case.proposal.portfolio.position(symbol)
        return Holding(
            symbol=symbol,
            quantity=ZERO if held is None else held.quantity,
            price=canonical(float(close)) if held is None else held.mark_price,
            cost=cost / BASIS_POINTS,
        )


_NO_BAR = Abstention("inputs missing: the proposal's bar")
#: Objectives that need nothing but estimates: maximum Sharpe may have no optimum.
_COMPARED = tuple(objective for objective in Objective if objective is not Objective.MAXIMUM_SHARPE)
