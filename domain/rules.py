"""The rules that decisions are made under, as the settings name them, and their change."""

from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

import msgspec

from domain.breaker import BreakerRules
from domain.messages import Message, Value, message_type, set_field
from domain.money import canonical
from domain.voting import Thresholds


class Rules(Value, frozen=True, kw_only=True):
    """What the engine is told by the settings.

    The defaults are those of every log that names no others, so they never change; a rule that is
    added comes with a default that does what was done before.

    Parameters
    ----------
    vote_deadline
        How long a round stays open for votes.
    vote_time_to_live
        Age at which a vote no longer counts, and how long one waits for its proposal.
    proposal_time_to_live
        Age, against logical time, above which a proposal is too old to be decided on.
    review_timeout, review_escalation
        How long persons have to answer a manual review, and when it becomes urgent.
    review_price_collar
        How far, as a fraction, the price may be from the proposal's when a person approves.
    review_four_eyes_above
        Value, in the account's currency, above which two persons must approve.
    breaker
        When an agent is cut off.
    """

    thresholds: Thresholds = Thresholds()
    vote_deadline: timedelta = timedelta(seconds=2)
    vote_time_to_live: timedelta = timedelta(seconds=30)
    proposal_time_to_live: timedelta = timedelta(hours=1)
    review_timeout: timedelta = timedelta(hours=1)
    review_escalation: timedelta = timedelta(minutes=30)
    review_price_collar: Decimal = Decimal("0.10")
    review_four_eyes_above: Decimal = Decimal(100_000)
    breaker: BreakerRules = BreakerRules()

    @property
    def memory(self) -> timedelta:
        """How long a decided proposal is remembered: no timely vote on it can come later."""
        return self.vote_deadline + 2 * self.vote_time_to_live

    def digest(self) -> str:
        """Return the name of these rules: 16 hexadecimal digits of what departs from the defaults.

        So a rule that is added later leaves the names of all rules that don't use it as they are.
        """
        return _digest(self)

    def __post_init__(self) -> None:
        for name in ("review_price_collar", "review_four_eyes_above"):
            set_field(self, name, canonical(getattr(self, name)))


_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")


@lru_cache(maxsize=16)
def _digest(rules: Rules) -> str:
    return sha256(_encoder.encode(_departures(rules))).hexdigest()[:16]


def _departures(value: msgspec.Struct) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(value):
        own = getattr(value, field.name)
        if own != field.default:
            found[field.name] = _departures(own) if isinstance(own, msgspec.Struct) else own
    return found


@message_type
class RulesChanged(Message, frozen=True, kw_only=True):
    """From here on the log's decisions are made under other rules.

    Parameters
    ----------
    before, after
        The rules; the digest of `after` is what the decisions name.
    actor
        Who or what changed them.
    """

    before: Rules
    after: Rules
    actor: str
