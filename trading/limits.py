"""The limits in force, as a fold of the record: lowering one takes a person, raising it two.

To lower a limit is to make it stricter, whatever way its number goes. The settings say where the
limits begin. Settings that a later start finds stricter hold at once; looser ones change nothing,
or else one person with an editor could raise a limit.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Self

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from domain.identity import derive_id
from domain.limits import (
    LimitChangeConfirmed,
    LimitChangeRequested,
    LimitChangeStatus,
    LimitChangeUpdated,
    LimitRefusal,
    LimitsDeclared,
)
from domain.messages import Message
from domain.money import ZERO, canonical
from domain.settings import TradingSettings

#: Limits of which a higher number allows more.
CEILINGS = (
    "maximum_order_value",
    "maximum_order_quantity",
    "maximum_messages_per_second",
    "maximum_executions",
    "price_collar",
    "price_band",
    "maximum_price_age_seconds",
    "maximum_position_fraction",
    "maximum_position_value",
    "maximum_gross_exposure",
    "maximum_net_exposure",
    "maximum_sector_exposure",
    "maximum_daily_loss",
    "maximum_drawdown",
)
#: Limits of which a lower number allows more.
FLOORS = ("initial_margin", "cool_down_seconds", "minimum_profit")
#: Every limit that can change while trading goes on.
LIMITS = (*CEILINGS, *FLOORS)


class LimitsState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that `Limits` knows; of orders from before there were any, nothing."""

    declared: dict[str, Decimal] = {}
    values: dict[str, Decimal] = {}
    proposed: dict[str, LimitChangeUpdated] = {}


class Limits:
    """What the settings declare, what holds, and what waits for a second person.

    Parameters
    ----------
    settings
        What holds as long as nothing is on record.
    """

    def __init__(self, settings: TradingSettings) -> None:
        self._settings = settings
        self.in_force = settings
        """The settings with the limits that hold."""
        self.declared: dict[str, Decimal] = {}
        self.proposed: dict[str, LimitChangeUpdated] = {}
        self._values: dict[str, Decimal] = {}

    @classmethod
    def of(cls, state: LimitsState, settings: TradingSettings) -> Self:
        """Return the limits that `state` was asked of."""
        limits = cls(settings)
        limits.declared, limits.proposed = dict(state.declared), dict(state.proposed)
        limits._hold(state.values)
        return limits

    def state(self) -> LimitsState:
        """Return all that is known."""
        return LimitsState(
            declared=dict(sorted(self.declared.items())),
            values=dict(sorted(self._values.items())),
            proposed=dict(sorted(self.proposed.items())),
        )

    def value(self, limit: str) -> Decimal:
        """Return the value of a limit that holds."""
        return self._values[limit] if limit in self._values else value_of(self._settings, limit)

    def declaration(self, cause: Message) -> LimitsDeclared | None:
        """Return what the settings say, if it is not what is on record."""
        said = {limit: value_of(self._settings, limit) for limit in LIMITS}
        if said == self.declared:
            return None
        return LimitsDeclared(
            message_id=derive_id("limits declared", cause.message_id),
            correlation_id="limits",
            causation_id=cause.message_id,
            occurred_at=cause.occurred_at,
            limits=said,
        )

    def looser_in_settings(self) -> Sequence[str]:
        """Return the limits that the settings would raise and that nobody has."""
        return [
            limit
            for limit, said in self.declared.items()
            if limit in LIMITS and looser(limit, said, self.value(limit))
        ]

    def answer(self, wish: LimitChangeRequested | LimitChangeConfirmed) -> LimitChangeUpdated:
        """Return what comes of a request or a confirmation; it changes nothing by itself."""
        match wish:
            case LimitChangeRequested():
                return self._requested(wish)
            case LimitChangeConfirmed():
                return self._confirmed(wish)

    def apply(self, event: LimitsDeclared | LimitChangeUpdated) -> None:
        """Take an event of the record in."""
        match event:
            case LimitsDeclared():
                changed = {
                    limit: value
                    for limit, value in event.limits.items()
                    if limit not in self._values
                    or (limit in LIMITS and looser(limit, self._values[limit], value))
                }
                self.declared = dict(event.limits)
                self._hold(self._values | changed)
                for limit in changed:
                    self.proposed.pop(limit, None)
            case LimitChangeUpdated(status=LimitChangeStatus.EFFECTIVE):
                self.proposed.pop(event.limit, None)
                self._hold(self._values | {event.limit: event.value})
            case LimitChangeUpdated(status=LimitChangeStatus.PROPOSED):
                self.proposed[event.limit] = event
            case _:
                pass

    def _hold(self, values: Mapping[str, Decimal]) -> None:
        self._values = dict(values)
        known = {limit: value for limit, value in values.items() if limit in LIMITS}
        self.in_force = changed(self._settings, known)

    def _requested(self, wish: LimitChangeRequested) -> LimitChangeUpdated:
        known = wish.limit in LIMITS
        previous = self.value(wish.limit) if known else ZERO
        answer = LimitChangeUpdated(
            message_id=derive_id("limit-change", wish.message_id),
            correlation_id=wish.correlation_id,
            causation_id=wish.message_id,
            occurred_at=wish.occurred_at,
            limit=wish.limit,
            previous=previous,
            value=wish.value,
            actor=wish.actor,
            reason=wish.reason,
            status=LimitChangeStatus.EFFECTIVE,
        )
        if not known:
            return _refused(answer, LimitRefusal.UNKNOWN_LIMIT)
        if not possible(wish.limit, wish.value):
            return _refused(answer, LimitRefusal.IMPOSSIBLE_VALUE)
        if wish.value == previous:
            return _refused(answer, LimitRefusal.UNCHANGED)
        if not looser(wish.limit, wish.value, previous):
            return answer
        waits = timedelta(seconds=self._settings.limit_confirmation_seconds)
        expires_at = wish.occurred_at + waits
        return replace(answer, status=LimitChangeStatus.PROPOSED, expires_at=expires_at)

    def _confirmed(self, wish: LimitChangeConfirmed) -> LimitChangeUpdated:
        waiting = {proposal.causation_id: proposal for proposal in self.proposed.values()}
        proposal = waiting.get(wish.request_id)
        answer = LimitChangeUpdated(
            message_id=derive_id("limit-change", wish.message_id),
            correlation_id=wish.correlation_id,
            causation_id=wish.message_id,
            occurred_at=wish.occurred_at,
            limit=proposal.limit if proposal else "",
            previous=proposal.previous if proposal else ZERO,
            value=proposal.value if proposal else ZERO,
            actor=wish.actor,
            reason=wish.reason,
            status=LimitChangeStatus.EFFECTIVE,
        )
        if proposal is None or proposal.expires_at is None:
            return _refused(answer, LimitRefusal.NOTHING_PROPOSED)
        if wish.actor == proposal.actor:
            return _refused(answer, LimitRefusal.SAME_PERSON)
        if not proposal.occurred_at <= wish.occurred_at < proposal.expires_at:
            return _refused(answer, LimitRefusal.EXPIRED)
        return replace(
            answer, actor=proposal.actor, reason=proposal.reason, confirmed_by=wish.actor
        )


def looser(limit: str, value: Decimal, than: Decimal) -> bool:
    """Whether a value of a limit allows more than another."""
    return value > than if limit in CEILINGS else value < than


def possible(limit: str, value: Decimal) -> bool:
    """Whether the settings take a value of a limit."""
    try:
        TradingSettings.model_validate({limit: value})
    except ValidationError:
        return False
    return True


def value_of(settings: TradingSettings, limit: str) -> Decimal:
    """Return the value of a limit in the settings."""
    return canonical(getattr(settings, limit))


def changed(settings: TradingSettings, values: Mapping[str, Decimal]) -> TradingSettings:
    """Return the settings with other values of limits, each of the type that it has there."""
    kinds = {limit: type(getattr(settings, limit)) for limit in values}
    return settings.model_copy(update={n: kinds[n](value) for n, value in values.items()})


def _refused(answer: LimitChangeUpdated, why: LimitRefusal) -> LimitChangeUpdated:
    return replace(answer, status=LimitChangeStatus.REFUSED, refusal=why)
