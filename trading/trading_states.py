"""Which trading state holds for an order: the strictest of those that it falls under."""

from collections.abc import Iterable, Mapping

from domain.orders import EVERYTHING, Order, Scope, ScopeKind, TradingState

_SEVERITY = {state: number for number, state in enumerate(TradingState)}


def strictest(states: Iterable[TradingState]) -> TradingState:
    """Return the state that allows least; ACTIVE if there is none."""
    return max(states, key=_SEVERITY.__getitem__, default=TradingState.ACTIVE)


def scopes_of(order: Order, venue: str) -> tuple[Scope, ...]:
    """Return the scopes that an order falls under, the widest first."""
    named = (
        (ScopeKind.VENUE, venue),
        (ScopeKind.STRATEGY, order.strategy),
        (ScopeKind.SYMBOL, order.symbol),
    )
    return (EVERYTHING, *(Scope(kind=kind, name=name) for kind, name in named if name))


def state_of(
    order: Order, venue: str, states: Mapping[Scope, TradingState]
) -> tuple[TradingState, Scope]:
    """Return the strictest state that holds for an order, and the widest scope that sets it."""
    if not states:
        return TradingState.ACTIVE, EVERYTHING
    found = [(states.get(scope, TradingState.ACTIVE), scope) for scope in scopes_of(order, venue)]
    return max(found, key=lambda pair: _SEVERITY[pair[0]])
