"""What a desk looks at first: the last price and the last decision of a symbol."""

from datetime import datetime
from decimal import Decimal

from domain.market import MarketData, Symbol
from domain.messages import Value
from domain.voting import Action, ConsensusResult, Outcome


class LatestPrice(Value, frozen=True, kw_only=True):
    """The last price that the gateway took in, and when it was observed."""

    symbol: Symbol
    price: Decimal
    observed_at: datetime

    @classmethod
    def of(cls, data: MarketData) -> "LatestPrice":
        """Return the price of one observation."""
        return cls(symbol=data.symbol, price=data.price, observed_at=data.observed_at)


class LatestDecision(Value, frozen=True, kw_only=True):
    """The last decision on a symbol, with the features that its proposal cites."""

    symbol: Symbol
    decision_id: str
    occurred_at: datetime
    action: Action
    outcome: Outcome
    reason: str
    weighted_score: Decimal | None
    reference_price: Decimal
    features: dict[str, Decimal]

    @classmethod
    def of(cls, decision: ConsensusResult) -> "LatestDecision":
        """Return what is told of a decision."""
        proposal = decision.proposal
        return cls(
            symbol=proposal.symbol,
            decision_id=decision.decision_id,
            occurred_at=decision.occurred_at,
            action=proposal.action,
            outcome=decision.outcome,
            reason=decision.reason,
            weighted_score=decision.weighted_score,
            reference_price=proposal.reference_price,
            features=proposal.features,
        )
