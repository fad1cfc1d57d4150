"""Obey the kill switch at once, whatever the record and the bus are doing."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from domain.errors import QuorumError, VenueUnavailable
from domain.metrics import Metric
from domain.orders import Order, Scope, TradingState, TradingStateRequested
from domain.ports.broker import Broker
from domain.ports.kill_switch import KillSwitch
from domain.ports.metrics import Metrics
from trading.trading_states import state_of, strictest

#: How often the switch is looked at (seconds): a fifth of what a halt may take.
INTERVAL_SECONDS = 0.02

_log = structlog.get_logger(__name__)


class NeverPressed:
    """The switch of a backtest (implements `domain.ports.kill_switch.KillSwitch`)."""

    def requests(self) -> Sequence[TradingStateRequested]:
        """Return nothing."""
        return ()


def with_requests(
    recorded: Mapping[Scope, TradingState], requests: Sequence[TradingStateRequested]
) -> Mapping[Scope, TradingState]:
    """Return the states that hold: the stricter of what is on record and what was asked for.

    What was resumed holds once it is on record; what was halted holds at once.
    """
    if not requests:
        return recorded
    both = dict(recorded)
    for request in requests:
        present = both.get(request.scope, TradingState.ACTIVE)
        both[request.scope] = strictest((present, request.state))
    return both


async def cancel_halted(switch: KillSwitch, broker: Broker, venue: str) -> list[Order]:
    """Ask the venue to cancel every open order that the switch has halted; return them.

    Raises
    ------
    VenueUnavailable
        If the venue does not answer.
    """
    states = with_requests({}, switch.requests())
    if TradingState.HALTED not in states.values():
        return []
    halted = [
        order
        for order in await broker.open_orders()
        if state_of(order, venue, states)[0] is TradingState.HALTED
    ]
    for order in halted:
        await broker.cancel(order.client_order_id)
    return halted


async def watch(switch: KillSwitch, broker: Broker, metrics: Metrics, venue: str) -> None:
    """Cancel what the switch halts, as long as this runs."""
    while True:
        try:
            for order in await cancel_halted(switch, broker, venue):
                metrics.count(Metric.EMERGENCY_CANCELS)
                _log.warning("cancelled by the kill switch", order=order.client_order_id)
        except VenueUnavailable as problem:
            _log.error("the kill switch can't reach the venue", problem=problem.what)
        except QuorumError as problem:
            _log.error("the kill switch could not cancel", problem=problem.what)
        await asyncio.sleep(INTERVAL_SECONDS)
