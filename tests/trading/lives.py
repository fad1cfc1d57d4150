"""What a gateway records of a life that is told step by step."""

from msgspec.structs import replace

from domain.messages import decode, encode
from domain.money import canonical
from domain.orders import TradingStateRequested
from domain.settings import Settings
from domain.voting import Action, AgentId
from tests.trading.conftest import CountingMetrics, EventClock, at, bar, counted, decision
from trading.gateway import Gateway
from trading.paper_venue import PaperVenue


def bracketed(price, action=Action.BUY, *, days=3, **figures):
    """Counted votes of which the Risk Manager's says where to close: 6 % away, 9 % in favour."""
    way = 1 if action is Action.BUY else -1
    named = {
        "stop_price": price * (100 - 6 * way) / 100,
        "target_price": price * (100 + 9 * way) / 100,
        "trailing_distance": price * 6 / 100,
        "time_stop_days": days,
        **figures,
    }
    return tuple(
        replace(vote, risk_assessment={k: canonical(v) for k, v in sorted(named.items())})
        if vote.agent_id == AgentId.RISK_MANAGER
        else vote
        for vote in counted()
    )


#: Under these, what entries open is kept under ways out.
LIMITS = Settings().trading.model_copy(update={"brackets": True})


async def events_of(steps):
    """Return what a gateway records while it lives through the steps."""
    limits = LIMITS
    venue, clock = PaperVenue(limits), EventClock()
    gateway = Gateway(venue, clock, CountingMetrics(), limits)
    events, last = [], {}
    for number, (kind, *what) in enumerate(steps):
        match kind:
            case "bar":
                symbol, price = what
                last[symbol] = bar(number, str(price), symbol, volume="5000")
                events += await gateway.on_market_data(last[symbol])
            case "decision":
                symbol, action, outcome, quantity, horizon = what
                if symbol in last:
                    made = decision(
                        last[symbol],
                        action,
                        str(0 if action is Action.HOLD else quantity),
                        outcome=outcome,
                        horizon_days=horizon,
                        votes=bracketed(last[symbol].price, action),
                    )
                    events += await gateway.on_decision(
                        replace(made, message_id=f"decision-{number}", occurred_at=at(number))
                    )
                    events += await gateway.dispatch()
            case _:
                (state,) = what
                events += await gateway.on_request(
                    TradingStateRequested(
                        message_id=f"request-{number}",
                        correlation_id="request",
                        occurred_at=at(number),
                        state=state,
                        actor="ada",
                        reason="drill",
                    )
                )
    return gateway, [decode(encode(event)) for event in events]
