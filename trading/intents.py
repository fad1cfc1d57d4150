"""What order a decision intends."""

from collections.abc import Mapping

from domain.errors import InvalidValue
from domain.identity import client_order_id
from domain.money import EXACT, ZERO
from domain.orders import Denial, Order, Side
from domain.voting import Action, ConsensusResult
from trading.book import OrderBook

#: The side of an action; HOLD has none.
SIDES: Mapping[Action, Side] = {Action.BUY: Side.BUY, Action.SELL: Side.SELL}


def intent(decision: ConsensusResult, side: Side, book: OrderBook) -> Order:
    """Return the order of an EXECUTE decision; a sale is of at most what is there."""
    proposal = decision.proposal
    quantity = proposal.quantity
    if side is Side.SELL:
        # With nothing there the controls deny the whole.
        available = EXACT.subtract(
            book.ledger.quantity(proposal.symbol),
            book.exposures.quantity(proposal.symbol, Side.SELL),
        )
        quantity = min(quantity, available) if available > 0 else quantity
    return Order(
        client_order_id=client_order_id(decision.decision_id),
        decision_id=decision.decision_id,
        symbol=proposal.symbol,
        side=side,
        quantity=quantity,
        arrival_price=proposal.reference_price,
        created_at=decision.occurred_at,
        strategy=proposal.model_version.partition("@")[0],
    )


def shortened(decision: ConsensusResult, order: Order) -> str:
    """Return what to say of an order for less than was decided; empty where it is not."""
    wanted = decision.proposal.quantity
    return "" if order.quantity == wanted else f"shortened from {wanted} to what is held"


def unworkable(order: Order, problem: InvalidValue) -> Denial:
    """Return the denial of an order that the market is too thin for."""
    return Denial(
        control="execution_plan", reason=problem.what, measured=order.quantity, limit=ZERO
    )
