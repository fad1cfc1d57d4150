"""How an execution goes: progress, what it costs against three prices, and whether to go on.

All costs are in basis points, positive where they are against the order. The rules, in order:
done where all is filled; stop where the fills, or the price now, have moved against the arrival
price by more than the plan's expected cost and `STOP_DEVIATIONS` of its deviations; re-plan where
the fills are off the schedule by more than `OFF_SCHEDULE` of the order, or the market's volume is
off its forecast by more than `VOLUME_FACTOR` either way; else go on.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from agents.exposure import BASIS_POINTS
from agents.price_history import Floats, Microseconds, to_microseconds
from domain.errors import InvalidValue
from domain.execution_plan import ExecutionPlan
from domain.orders import ExecutionReport, Side

STOP_DEVIATIONS = 3.0
OFF_SCHEDULE = 0.10
VOLUME_FACTOR = 2.0
#: After which adverse selection is measured.
MARKOUT_SECONDS = 300
_MICROSECONDS = 1_000_000


class MarketTape(NamedTuple):
    """The market since the order arrived, oldest first: instants (µs), prices (USD), shares."""

    times: Microseconds
    prices: Floats
    volumes: Floats


class Step(StrEnum):
    """What to do next."""

    CONTINUE = "continue"
    REPLAN = "replan"
    STOP = "stop"
    DONE = "done"


class Progress(NamedTuple):
    """How far an execution is, and what it cost so far (bps); None where that isn't known yet.

    Parameters
    ----------
    filled, due
        Shares filled, and shares that the plan wanted by now, as fractions of the order.
    arrival_bps, vwap_bps, close_bps
        Cost against the arrival price, the market's VWAP since then, and the last price.
    adverse_selection_bps
        How far the price was against the fills `MARKOUT_SECONDS` after them.
    reversion_bps
        How far the price came back after the last fill, once all is filled.
    step, reason
        What to do next, by which rule.
    """

    filled: float
    due: float
    arrival_bps: float | None
    vwap_bps: float | None
    close_bps: float | None
    adverse_selection_bps: float | None
    reversion_bps: float | None
    step: Step
    reason: str


class _Fills(NamedTuple):
    times: Microseconds
    prices: Floats
    quantities: Floats

    @property
    def price(self) -> float:
        return float(np.average(self.prices, weights=self.quantities))


def monitor(
    plan: ExecutionPlan,
    reports: Sequence[ExecutionReport],
    tape: MarketTape,
    *,
    session: int,
    seconds: int,
    expected_volume: float | None = None,
) -> Progress:
    """Return how an execution stands at a second of a session.

    Parameters
    ----------
    reports
        The fills so far, each once.
    expected_volume
        Shares that the market was expected to trade by now.

    Raises
    ------
    InvalidValue
        If a fill is another order's or comes twice, more is filled than ordered, or the tape is
        out of order or has impossible values.
    """
    fills = _fills_of(plan, reports)
    _check(tape)
    sign = 1.0 if plan.side is Side.BUY else -1.0
    arrival, quantity = float(plan.arrival_price), float(plan.quantity)
    last = float(tape.prices[-1]) if len(tape.prices) else None
    volume = float(tape.volumes.sum())
    vwap = float(np.dot(tape.prices, tape.volumes)) / volume if volume > 0 else None
    filled = float(fills.quantities.sum()) / quantity
    due = float(plan.due_by(session, seconds)) / quantity

    def against(reference: float | None) -> float | None:
        if reference is None or not filled:
            return None
        return sign * (fills.price / reference - 1.0) * BASIS_POINTS

    cost = against(arrival)
    drift = None if last is None else sign * (last / arrival - 1.0) * BASIS_POINTS
    ratio = volume / expected_volume if expected_volume else None
    step, reason = _next(plan, filled, due, max(cost or 0.0, drift or 0.0), ratio)
    reverted = None
    if filled >= 1.0 and last is not None and tape.times[-1] > fills.times[-1]:
        reverted = sign * (1.0 - last / float(fills.prices[-1])) * BASIS_POINTS
    return Progress(
        filled, due, cost, against(vwap), against(last),
        _adverse_selection(fills, tape, sign), reverted, step, reason,
    )  # fmt: skip


def _next(
    plan: ExecutionPlan, filled: float, due: float, worst: float, volume_ratio: float | None
) -> tuple[Step, str]:
    """Apply the rules of the module's docstring."""
    limit = float(plan.expected_cost_bps) + STOP_DEVIATIONS * float(plan.cost_deviation_bps)
    if filled >= 1.0:
        return Step.DONE, "all is filled"
    if worst > limit:
        return Step.STOP, f"{worst:.1f} bps against the arrival price, {limit:.1f} allowed"
    if abs(filled - due) > OFF_SCHEDULE:
        return Step.REPLAN, f"{filled:.1%} filled, {due:.1%} due"
    if volume_ratio is not None and not 1 / VOLUME_FACTOR <= volume_ratio <= VOLUME_FACTOR:
        return Step.REPLAN, f"the market trades {volume_ratio:.2f} times its forecast volume"
    return Step.CONTINUE, "on schedule"


def _adverse_selection(fills: _Fills, tape: MarketTape, sign: float) -> float | None:
    """Return the mean move against the fills by the first price `MARKOUT_SECONDS` later."""
    at = np.searchsorted(tape.times, fills.times + MARKOUT_SECONDS * _MICROSECONDS)
    known = at < len(tape.times)
    if not known.any():
        return None
    moves = sign * (1.0 - tape.prices[at[known]] / fills.prices[known])
    return float(np.average(moves, weights=fills.quantities[known])) * BASIS_POINTS


def _fills_of(plan: ExecutionPlan, reports: Sequence[ExecutionReport]) -> _Fills:
    ids = {report.execution_id for report in reports}
    foreign = [r for r in reports if r.symbol != plan.symbol or r.side is not plan.side]
    if len(ids) < len(reports) or foreign:
        raise InvalidValue(
            f"The fills are not those of an order to {plan.side} {plan.symbol}, each once.",
            next_step="Give each fill of this order once.",
        )
    if sum((r.quantity for r in reports), plan.quantity - plan.quantity) > plan.quantity:
        raise InvalidValue(
            f"More than {plan.quantity} shares are filled.",
            next_step="Compare the venue's fills with the order.",
        )
    ordered = sorted(reports, key=lambda r: (r.executed_at, r.execution_id))
    return _Fills(
        np.array([to_microseconds(r.executed_at) for r in ordered], dtype=np.int64),
        np.array([float(r.price) for r in ordered]),
        np.array([float(r.quantity) for r in ordered]),
    )


def _check(tape: MarketTape) -> None:
    times, prices, volumes = tape
    fits = len(times) == len(prices) == len(volumes) and bool((np.diff(times) >= 0).all())
    finite = np.isfinite(prices).all() and np.isfinite(volumes).all()
    if not fits or not finite or (prices <= 0).any() or (volumes < 0).any():
        raise InvalidValue(
            "The tape is out of order, or has a price or volume that can't be.",
            next_step="Quarantine the bars at their source.",
        )
