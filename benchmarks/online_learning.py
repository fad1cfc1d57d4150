"""Online learning beside batch training alone, on planted worlds: ten seeds, 95 % intervals.

Twenty symbols. Both sides are trained on two years, and again after every further one, by least
squares on the last two. One goes on from there with updates of its calibration, by the rules of
the platform: bounded, in shadow until the sequential test against the parent says better, taken
back where live it is shown to be worse, dropped where nothing is shown in time. The other has
nothing between trainings. After 120 days alone the signal means its opposite (regime break), or
nothing happens (no break). What no forecast can know is left out of the excess: it is the squared
distance of a chance from the true one.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import NormalDist, fmean
from typing import NamedTuple

import numpy as np

from agents.calibration import LOGIT_PER_VOLATILITY, Knots, knots, log_losses, logistic
from agents.learning.online import Bounds, drift, update
from agents.model import OUTPUTS, Specification
from agents.price_history import Floats
from benchmarks.measure import Row, run
from benchmarks.planted_worlds import mean_and_interval
from domain.settings import OnlineLearningSettings
from domain.voting import AgentId
from evaluation.sequential import Verdict, compare, minimum_observations
from evaluation.signal_worlds import MODEL, Signals, known_edge, regime_break

#: The settings were chosen on the seeds 0–5.
SEEDS = range(100, 110)
_SYMBOLS, _TRAINING, _LIVE, _RETRAINED_AFTER, _BREAK = 20, 500, 600, 250, 120
_LOOK_EVERY, _RECENT = 5, 20
_NOW = datetime(2012, 1, 1, tzinfo=UTC)
POLICY = OnlineLearningSettings()
_PATIENCE = POLICY.patience * minimum_observations()
_BOUNDS = Bounds(POLICY.least_outcomes, POLICY.largest_step, POLICY.largest_drift)


class Life(NamedTuple):
    """What one side lived through, a day per row: the loss of its chances, and its updates.

    `brier` and `log_loss` are of what came; `excess` is the Brier score's part above the truth's.
    """

    brier: Floats
    log_loss: Floats
    excess: Floats
    promoted: int = 0
    refused: int = 0
    reverted: int = 0
    furthest: float = 0.0


class _Days(NamedTuple):
    """Days × symbols (× features): what was known, what came, and its true chance."""

    features: Floats
    scaled: Floats
    up: np.ndarray
    truth: Floats


class _Batch(NamedTuple):
    """A trained model: weights that give raw log odds, and the knots that make chances of them."""

    weights: Floats
    specification: Specification


def days_of(world: Callable[[int], Signals], seed: int) -> _Days:
    """Return the days of all symbols; each is a world of its own."""
    worlds = [world(1_000 * seed + symbol) for symbol in range(_SYMBOLS)]
    returns, drifts = (np.stack([getattr(w, n) for w in worlds], 1) for n in ("returns", "drift"))
    truth = np.vectorize(NormalDist().cdf)(drifts / MODEL.volatility)
    features = np.stack([w.features for w in worlds], 1)
    return _Days(features, returns / MODEL.volatility, returns > 0, truth)


def live(days: _Days, *, online: bool) -> Life:
    """Return the life of one side after the first training."""
    batch = served = _trained(days, _TRAINING)
    chances = np.empty((_LIVE, _SYMBOLS))
    shadow: tuple[Specification, int] | None = None
    parents: list[tuple[Specification, int]] = []
    counts = {"promoted": 0, "refused": 0, "reverted": 0}
    since, furthest = _TRAINING, 0.0
    current = served.specification
    for day in range(_TRAINING, _TRAINING + _LIVE):
        if day > _TRAINING and (day - _TRAINING) % _RETRAINED_AFTER == 0:
            batch, since, shadow, parents = _trained(days, day), day, None, []
            current = batch.specification
        raw = days.features[:day] @ batch.weights
        if online and day % _LOOK_EVERY == 0:
            if parents and _verdict(days, raw, *parents[-1], current) is Verdict.REFUSE:
                current, shadow = parents.pop()[0], None
                counts["reverted"] += 1
            elif shadow is not None:
                said = _verdict(days, raw, current, shadow[1], shadow[0])
                if said is Verdict.PROMOTE:
                    parents.append((current, day))
                    current, shadow = shadow[0], None
                    counts["promoted"] += 1
                elif said is Verdict.REFUSE or day - shadow[1] >= _PATIENCE:
                    shadow = None
                    counts["refused"] += 1
            if shadow is None and (made := _updated(days, raw, batch, current, since)):
                shadow = made, day
            furthest = max(furthest, drift(batch.specification, current))
        chances[day - _TRAINING] = _chances(current, days.features[day] @ batch.weights)
    lived = slice(_TRAINING, _TRAINING + _LIVE)
    up, truth = days.up[lived], days.truth[lived]
    return Life(
        ((chances - up) ** 2).mean(1),
        log_losses(chances, up).mean(1),
        ((chances - truth) ** 2).mean(1),
        **counts,
        furthest=furthest,
    )


def recovery(excess: Floats) -> float:
    """Return the days after the break until half of the loss that it brought is gone."""
    recent = np.convolve(excess[_BREAK + 1 :], np.full(_RECENT, 1 / _RECENT), mode="valid")
    usual, broken = excess[:_BREAK].mean(), recent[0]
    recovered = np.flatnonzero(recent <= (usual + broken) / 2)
    return float(recovered[0] + _RECENT if len(recovered) else len(excess) - _BREAK)


def breaking(seed: int) -> Signals:
    """Return a world whose signal means its opposite after `_BREAK` days of life."""
    return regime_break(seed, _TRAINING + _LIVE, _TRAINING + _BREAK)


def lasting(seed: int) -> Signals:
    """Return a world whose edge lasts."""
    return known_edge(seed, _TRAINING + _LIVE)


def both(world: Callable[[int], Signals], seeds: Sequence[int]) -> list[tuple[Life, Life]]:
    """Return the lives with online learning and by batch alone, of each seed."""
    found = [days_of(world, seed) for seed in seeds]
    return [(live(days, online=True), live(days, online=False)) for days in found]


def _trained(days: _Days, until: int) -> _Batch:
    past = slice(max(0, until - _TRAINING), until)
    rows = days.features[past].reshape(-1, days.features.shape[-1])
    weights, *_ = np.linalg.lstsq(rows, days.scaled[past].ravel())
    weights = LOGIT_PER_VOLATILITY * weights
    reach = float(np.abs(rows @ weights).max())
    raw = np.linspace(-reach, reach, 17)
    chances = knots(list(zip(raw.tolist(), logistic(raw).tolist(), strict=True)))
    return _Batch(weights, _specification(chances))


def _specification(chances: Knots) -> Specification:
    return Specification(
        agent=AgentId.EXECUTION,
        architecture="classic",
        inputs=("return_1",),
        outputs=OUTPUTS[AgentId.EXECUTION],
        hidden_units=0,
        horizon_days=1,
        trained_until=_NOW,
        score=Knots((-1.0, 0.0, 1.0), (65.0, 75.0, 77.0)),
        confidence=chances,
    )


def _chances(specification: Specification, raw: Floats) -> Floats:
    return np.interp(raw, *specification.confidence)


def _updated(
    days: _Days, raw: Floats, batch: _Batch, current: Specification, since: int
) -> Specification | None:
    past = slice(max(since, len(raw) - POLICY.window // _SYMBOLS), len(raw))
    claimed = _chances(batch.specification, raw[past]).ravel()
    happened = days.up[past].ravel()
    made = update(batch.specification, current, claimed, happened, until=_NOW, bounds=_BOUNDS)
    return None if made is None else made.specification


def _verdict(
    days: _Days, raw: Floats, parent: Specification, since: int, child: Specification
) -> Verdict:
    past = slice(since, len(raw))
    came = days.up[past]
    old, new = ((_chances(each, raw[past]) - came) ** 2 for each in (parent, child))
    return compare((old - new).mean(1), horizon=_PATIENCE).verdict


def measure() -> list[Row]:
    rows: list[Row] = []
    for name, world in (("regime break", breaking), ("no break", lasting)):
        lives = both(world, SEEDS)
        after = slice(_BREAK + 1, None)
        for loss in ("brier", "log_loss", "excess"):
            means = [[float(getattr(side, loss)[after].mean()) for side in pair] for pair in lives]
            change, interval = mean_and_interval([ours - theirs for ours, theirs in means])
            rows.append(
                Row(
                    figure=f"{name}: {loss.replace('_', ' ')}, online (less batch: {change:+.3g}; "
                    f"{interval})",
                    unit="a day",
                    ours=fmean(ours for ours, _ in means),
                    beside="batch only",
                    theirs=fmean(theirs for _, theirs in means),
                    digits=5,
                )
            )
        if world is breaking:
            days = [[recovery(side.excess) for side in pair] for pair in lives]
            less, interval = mean_and_interval([ours - theirs for ours, theirs in days])
            rows.append(
                Row(
                    figure=f"{name}: until half of the loss is gone, online (less batch: "
                    f"{less:+.3g}; {interval})",
                    unit="days",
                    ours=fmean(ours for ours, _ in days),
                    beside="batch only",
                    theirs=fmean(theirs for _, theirs in days),
                )
            )
        for count in ("promoted", "refused", "reverted"):
            found, interval = mean_and_interval([getattr(o, count) for o, _ in lives])
            rows.append(Row(figure=f"{name}: updates {count} ({interval})", unit="", ours=found))
        rows.append(
            Row(
                figure=f"{name}: furthest change of a chance, any seed",
                unit="",
                ours=max(o.furthest for o, _ in lives),
                beside="bound",
                theirs=POLICY.largest_drift,
            )
        )
    return rows


if __name__ == "__main__":
    run(measure)
