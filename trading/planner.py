"""The Execution agent's plan of an order, from what its vote says of the market's liquidity.

The decision carries the forecasts that the agent voted on, so the plan is a function of the
decision alone: the same live, after a restart and in a backtest.
"""

from decimal import Decimal
from math import exp

from msgspec.structs import replace

from agents.execution.planning import ParentOrder, plan
from agents.execution.volume_curve import USUAL_CURVE, VolumeForecast
from domain.execution_plan import ExecutionPlan
from domain.metrics import Metric
from domain.money import EXACT
from domain.orders import Order
from domain.ports.metrics import Metrics
from domain.settings import TradingSettings
from domain.voting import AgentId, ConsensusResult

#: The figures of the Execution agent's vote that a plan needs.
_LOG_VOLUME, _VOLATILITY = "log_volume", "daily_volatility"


class ExecutionPlanner:
    """Plans orders (a `trading.children.Planner`).

    Parameters
    ----------
    settings
        Costs, the largest participation, and how finely orders are sliced.
    metrics
        Counts orders whose decision carries no forecast.
    """

    def __init__(self, settings: TradingSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    def __call__(self, order: Order, decision: ConsensusResult) -> ExecutionPlan | None:
        """Return the cheapest plan, or None where the order leaves whole.

        It does where one slice holds all of it, where the Execution agent's vote did not count,
        and where it is no whole number of lots, which the controls judge.

        Raises
        ------
        InvalidValue
            If the market is too thin for the order, as `agents.execution.planning.plan`.
        """
        found = next((v for v in decision.counted if v.agent_id == AgentId.EXECUTION), None)
        figures = found.risk_assessment if found else {}
        if _LOG_VOLUME not in figures or _VOLATILITY not in figures:
            self._metrics.count(Metric.UNPLANNED_ORDERS)
            return None
        lot = self._settings.lot_sizes.get(order.symbol, self._settings.lot_size) or Decimal(1)
        lots = EXACT.divide(order.quantity, lot)
        if lots != int(lots):
            return None
        volume = exp(float(figures[_LOG_VOLUME])) / float(lot)
        made = plan(
            ParentOrder(
                decision.proposal.proposal_id,
                order.symbol,
                order.side,
                int(lots),
                float(EXACT.multiply(order.arrival_price, lot)),
                float(figures[_VOLATILITY]),
            ),
            VolumeForecast(USUAL_CURVE / USUAL_CURVE.sum(), volume),
            self._settings,
        )
        slices = made.in_slices(self._settings.slice_seconds)
        if len(slices) == 1:
            return None
        return replace(
            made,
            quantity=order.quantity,
            arrival_price=order.arrival_price,
            children=tuple(replace(s, quantity=EXACT.multiply(s.quantity, lot)) for s in slices),
        )
