"""The rules that decisions are made under, as the settings name them."""

from datetime import timedelta
from decimal import Decimal

from domain.messages import Value
from domain.voting import Thresholds


class Rules(Value, frozen=True, kw_only=True):
    """What the engine is told by the settings.

    Parameters
    ----------
    vote_deadline
        How long a round stays open for votes.
    vote_time_to_live
        Age at which a vote no longer counts, and how long one waits for its proposal.
    review_timeout
        How long a person has to answer.
    review_price_collar
        How far, as a fraction, the price may be from the proposal's when a person approves.
    """

    thresholds: Thresholds = Thresholds()
    vote_deadline: timedelta = timedelta(seconds=2)
    vote_time_to_live: timedelta = timedelta(seconds=30)
    review_timeout: timedelta = timedelta(hours=1)
    review_price_collar: Decimal = Decimal("0.10")

    @property
    def memory(self) -> timedelta:
        """How long a decided proposal is remembered: no timely vote on it can come later."""
        return self.vote_deadline + 2 * self.vote_time_to_live
