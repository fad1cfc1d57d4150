"""Online learning: the calibration follows what came, in small bounded steps between trainings.

What batch training fitted stays the anchor: its chances q are corrected to
``logistic(a + b · log odds of q)`` (Platt 1999), fitted to recent outcomes with a normal prior at
"nothing to correct" (a = 0, b = 1). An update goes there from its parent's chances only as far as
two bounds in probability let it: one on the step from the parent, one on the drift from the anchor.
So no sequence of outcomes, whatever they are, moves a chance further than the bounds say.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agents.assessment import BOUND_PLACES, Assessment
from agents.calibration import Knots, logistic
from agents.model import Specification
from agents.price_history import Floats
from agents.rounding import PLACES
from agents.scores import even_support
from agents.verdicts import executing_proved_right
from domain.errors import DataQualityError, InvalidValue, ModelRefused
from domain.experience import Experience
from domain.voting import AgentId

#: Standard deviations of the prior: of the intercept in log odds, and of the slope.
_INTERCEPT_DEVIATION, _SLOPE_DEVIATION = 0.5, 0.5
#: Chances are held so far off 0 and 1.
_LEAST_CHANCE = 1e-6
_UNIT = 10.0**-PLACES


class Bounds(NamedTuple):
    """How far updates may go.

    Parameters
    ----------
    least_outcomes
        Fewer leave everything as it is.
    largest_step, largest_drift
        Largest change of any chance from the parent's, and from the anchor's.
    """

    least_outcomes: int
    largest_step: float
    largest_drift: float


class Correction(NamedTuple):
    """Log odds of an anchor's chance → corrected ones: intercept + slope · log odds."""

    intercept: float = 0.0
    slope: float = 1.0


class Update(NamedTuple):
    """An updated specification, the correction it goes towards, and how far it went.

    `step` and `drift` are the largest changes of a chance, from the parent and from the anchor.
    """

    specification: Specification
    correction: Correction
    step: float
    drift: float


def chance_of(specification: Specification, judgement: Assessment) -> float:
    """Return what a model's knots say of the chance that executing proves right.

    Of the Market Analyst: that it earns anything; each version may have a hurdle of its own.
    """
    if specification.agent is AgentId.MARKET_ANALYST:
        return judgement.measures["chance_right"]
    return specification.confidence(judgement.support)


def came_true(agent: AgentId, judgement: Assessment, experience: Experience) -> bool | None:
    """Return whether what `chance_of` speaks of happened; None where that can't be known."""
    if agent is AgentId.MARKET_ANALYST:
        return experience.reward > 0
    if judgement.bound is None:
        return None
    bound = Decimal(str(round(judgement.bound, BOUND_PLACES)))
    return executing_proved_right(agent, replace(experience, bounds={agent: bound}))


def update(
    anchor: Specification,
    parent: Specification,
    chances: Floats,
    outcomes: NDArray[np.bool_],
    *,
    until: datetime,
    bounds: Bounds,
    independent_share: float = 1.0,
) -> Update | None:
    """Return the parent's specification one bounded step further; None where nothing changes.

    Parameters
    ----------
    anchor
        Of the last model that was trained; `parent` is it, or an update that descends from it.
    chances, outcomes
        What the anchor's knots said (inside 0–1), and whether it happened; in any order.
    until
        End of the outcomes.
    independent_share
        Weight of a sample: outcomes that overlap are not independent.

    Raises
    ------
    DataQualityError
        If a chance is not inside (0, 1), or there are not as many as outcomes.
    ModelRefused
        If `parent` is no descendant of `anchor`, or has drifted beyond the bounds.
    """
    _check(chances, outcomes, bounds)
    drifted = drift(anchor, parent)
    if drifted > bounds.largest_drift + _UNIT:
        raise ModelRefused(
            f"The calibration of {parent.agent} has drifted by {drifted:.4f} from what was "
            f"trained, {bounds.largest_drift:g} is allowed.",
            kept="No version was made.",
            next_step=f"Roll it back: `quorum rollback {parent.agent}`.",
        )
    if len(chances) < bounds.least_outcomes:
        return None
    found = correction(chances, outcomes, independent_share)
    before, trained = _chances(parent), _chances(anchor)
    after = {
        name: Knots(was.x, _bounded(trained[name].y, was.y, found, bounds))
        for name, was in before.items()
    }
    if after == before:
        return None
    made = replace(_with(parent, after), updated_until=until)
    kept = Correction(round(found.intercept, PLACES), round(found.slope, PLACES))
    return Update(made, kept, _largest_change(before, after), _largest_change(trained, after))


def correction(
    chances: Floats, outcomes: NDArray[np.bool_], independent_share: float = 1.0
) -> Correction:
    """Fit intercept and slope by Newton's method: the mode given outcomes and prior.

    The slope stays at 0 or above: a calibration may say that a model knows nothing, but not turn
    it around. The order of the samples makes no difference, not even in the last digit.
    """
    order = np.lexsort((outcomes, chances))
    held = np.clip(chances[order], _LEAST_CHANCE, 1.0 - _LEAST_CHANCE)
    happened = outcomes[order].astype(np.float64)
    design = np.column_stack([np.ones(len(held)), np.log(held / (1.0 - held))])
    prior = np.array(Correction())
    fitted = _mode(design, happened, prior, independent_share)
    if fitted[1] < 0.0:
        fitted = np.array([_mode(design[:, :1], happened, prior[:1], independent_share)[0], 0.0])
    return Correction(float(fitted[0]), float(fitted[1]))


def drift(anchor: Specification, descendant: Specification) -> float:
    """Return the largest difference between the chances of a model and of its anchor.

    Raises
    ------
    ModelRefused
        If they are not of one agent, or their knots do not lie at the same places.
    """
    ours, theirs = _chances(anchor), _chances(descendant)
    alike = anchor.agent is descendant.agent and all(
        knots.x == theirs[name].x for name, knots in ours.items()
    )
    if not alike:
        raise ModelRefused(
            f"A calibration of {descendant.agent} does not descend from the model it is held to.",
            kept="No version was made.",
            next_step="Train again, and start online learning from that model.",
        )
    return _largest_change(ours, theirs)


def _mode(design: Floats, outcomes: Floats, prior: Floats, share: float) -> Floats:
    deviations = np.array([_INTERCEPT_DEVIATION, _SLOPE_DEVIATION])[: len(prior)]
    precision = np.diag(deviations**-2.0)
    found = prior.copy()
    for _ in range(50):
        said = logistic(design @ found)
        gradient = share * design.T @ (said - outcomes) + precision @ (found - prior)
        curvature = share * (design.T * (said * (1.0 - said))) @ design + precision
        step = np.linalg.solve(curvature, gradient)
        # Far from the mode a full step of Newton's method may overshoot.
        found = found - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    return found


def _bounded(
    trained: tuple[float, ...], before: tuple[float, ...], found: Correction, bounds: Bounds
) -> tuple[float, ...]:
    """Return the corrected chances, as near as the bounds around parent and anchor let them.

    Rising knots stay rising: the correction rises, and so do the bounds.
    """
    q, p = np.array(trained), np.array(before)
    held = np.clip(q, _LEAST_CHANCE, 1.0 - _LEAST_CHANCE)
    wanted = logistic(found.intercept + found.slope * np.log(held / (1.0 - held)))
    near = np.clip(wanted, p - bounds.largest_step, p + bounds.largest_step)
    near = np.clip(near, q - bounds.largest_drift, q + bounds.largest_drift)
    # Rounded towards the parent, so that rounding never crosses a bound.
    steps = np.trunc(np.round((near - p) / _UNIT, 3))
    return tuple(np.clip(np.round(p + steps * _UNIT, PLACES), 0.0, 1.0).tolist())


def _chances(specification: Specification) -> dict[str, Knots]:
    if specification.agent is AgentId.MARKET_ANALYST:
        return {name: specification.calibrations[name] for name in ("up", "down")}
    return {"confidence": specification.confidence}


def _with(parent: Specification, chances: dict[str, Knots]) -> Specification:
    if parent.agent is AgentId.MARKET_ANALYST:
        return replace(parent, calibrations={**parent.calibrations, **chances})
    confidence = chances["confidence"]
    # 75 stands where the chance is one half, wherever that is now.
    moved = even_support(confidence) - even_support(parent.confidence)
    scale = Knots(tuple(round(x + moved, PLACES) for x in parent.score.x), parent.score.y)
    return replace(parent, confidence=confidence, score=scale)


def _largest_change(before: dict[str, Knots], after: dict[str, Knots]) -> float:
    changes = [np.subtract(after[name].y, knots.y) for name, knots in before.items()]
    return round(float(np.abs(np.concatenate(changes)).max()), PLACES)


def _check(chances: Floats, outcomes: NDArray[np.bool_], bounds: Bounds) -> None:
    if not (0 < bounds.largest_step <= bounds.largest_drift < 1 and bounds.least_outcomes >= 1):
        raise InvalidValue(
            f"The bounds {tuple(bounds)} are out of range.",
            next_step="Use one outcome or more, and 0 < largest step <= largest drift < 1.",
        )
    if len(chances) != len(outcomes) or not np.all((chances > 0.0) & (chances < 1.0)):
        raise DataQualityError(
            "Chances to learn from are not inside (0, 1), or have no outcome.",
            kept="The calibration stays as it is.",
            next_step="Look at the experiences that they come from.",
        )
