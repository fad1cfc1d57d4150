"""The controls' limits as the gateway's record has them."""

import asyncio

import msgspec

from adapters.ledger import open_ledger
from adapters.profile import connected
from domain.limits import LimitChangeUpdated, LimitsDeclared
from domain.ports.ledger import Ledger, Log
from domain.producers import Producer
from domain.settings import Settings
from trading.handler import LOG_PARTITION
from trading.limits import Limits, LimitsState

_PAGE = 1000


class _Snapshot(msgspec.Struct):
    """What is read of a snapshot of the gateway."""

    limits: LimitsState = LimitsState()


def limits_on_record(settings: Settings) -> Limits:
    """Return the limits in force, and those that wait for a second person."""
    with connected(settings, servers=("postgres",), producer=Producer.OPERATOR) as ready:
        return asyncio.run(_limits(ready))


async def _limits(settings: Settings) -> Limits:
    ledger = open_ledger(settings)
    try:
        return await folded(ledger, settings)
    finally:
        await ledger.close()


async def folded(ledger: Ledger, settings: Settings) -> Limits:
    """Fold the orders log's events about limits, from the newest snapshot on."""
    snapshot = await ledger.snapshot(Log.ORDERS, LOG_PARTITION)
    state = LimitsState() if snapshot is None else _state(snapshot.data)
    limits, after = Limits(settings.trading), 0
    if snapshot is not None and state is not None:
        limits, after = Limits.of(state, settings.trading), snapshot.sequence
    while page := await ledger.events(Log.ORDERS, LOG_PARTITION, after=after, limit=_PAGE):
        for recorded in page:
            if isinstance(recorded.message, LimitsDeclared | LimitChangeUpdated):
                limits.apply(recorded.message)
        after = page[-1].sequence
    return limits


def _state(data: bytes) -> LimitsState | None:
    """Return the limits of a snapshot; None if another release wrote it otherwise."""
    try:
        return msgspec.json.decode(data, type=_Snapshot).limits
    except msgspec.ValidationError:
        return None
