"""Planted-truth worlds for learners: features, and the returns they do or don't foretell.

The log return of day t + 1 is ``drift(t) + σ ε(t + 1)`` with ε independent standard normal, and
what is planted is the drift. The first feature is a signal z of mean 0 and variance 1 with
z(t + 1) = ρ z(t) + √(1 - ρ²) ξ; the others are as persistent and mean nothing.

================ =================================================================================
world            drift and truth
================ =================================================================================
`known_edge`     s σ z(t); `evaluation.optimum` gives the most that can be earned after costs
`no_edge`        0: to stay flat is best
`ending_edge`    s σ z(t) up to a day, then 0
`regime_break`   s σ z(t) up to a day, then its opposite
`crash`          s σ z(t); on one day the price falls by a quarter, then σ is fourfold for 20 days
`leaked_future`  0; the first feature is the coming return, blurred: known to no one in time
`bid_ask_bounce` 0 of the true price, but closes bounce between bid and ask (Roll, 1984): returns
                 are negatively autocorrelated, and crossing the spread costs all that the bounce
                 could earn; the first feature is the last return
================ =================================================================================
"""

from typing import NamedTuple

import numpy as np

from domain.errors import InvalidValue
from evaluation.arrays import Floats

_CRASH = -0.25
_CRASH_DAYS = 20
_CRASH_VOLATILITY = 4.0
_LEAK_BLUR = 1.0


class Signals(NamedTuple):
    """A day per row.

    Parameters
    ----------
    features
        Days × features, known at each day's close.
    returns
        Log return from that close to the next.
    drift
        Its expectation given all that is known at that close.
    cost
        Fraction of notional that a change of position by one unit costs.
    """

    features: Floats
    returns: Floats
    drift: Floats
    cost: float

    def between(self, first: int, last: int) -> "Signals":
        """Return the days `first` … `last` - 1."""
        days = slice(first, last)
        return Signals(self.features[days], self.returns[days], self.drift[days], self.cost)


class SignalModel(NamedTuple):
    """What all worlds share.

    Parameters
    ----------
    sharpe
        s: the drift's standard deviation in volatilities of a day.
    persistence
        ρ, from one day to the next.
    noise_features
        Features that mean nothing.
    """

    sharpe: float = 0.15
    volatility: float = 0.015
    persistence: float = 0.9
    cost: float = 0.001
    noise_features: int = 3


MODEL = SignalModel()


def known_edge(seed: int, days: int, model: SignalModel = MODEL) -> Signals:
    """Return a world whose signal foretells returns throughout."""
    return _planted(seed, np.full(days, model.sharpe), model)


def no_edge(seed: int, days: int, model: SignalModel = MODEL) -> Signals:
    """Return a world in which nothing foretells anything."""
    return _planted(seed, np.zeros(days), model)


def ending_edge(seed: int, days: int, last: int, model: SignalModel = MODEL) -> Signals:
    """Return `known_edge` whose signal means nothing after day `last`."""
    return _planted(seed, np.where(np.arange(days) <= last, model.sharpe, 0.0), model)


def regime_break(seed: int, days: int, last: int, model: SignalModel = MODEL) -> Signals:
    """Return `known_edge` whose signal means the opposite after day `last`."""
    return _planted(seed, np.where(np.arange(days) <= last, model.sharpe, -model.sharpe), model)


def crash(seed: int, days: int, day: int, model: SignalModel = MODEL) -> Signals:
    """Return `known_edge` with a crash on `day`, which nothing foretold."""
    world = known_edge(seed, days, model)
    returns = world.returns.copy()
    after = slice(day, day + _CRASH_DAYS)
    noise = returns[after] - world.drift[after]
    returns[after] = world.drift[after] + _CRASH_VOLATILITY * noise
    returns[day] = np.log1p(_CRASH)
    return world._replace(returns=returns)


def leaked_future(seed: int, days: int, model: SignalModel = MODEL) -> Signals:
    """Return `no_edge` with tomorrow's return among today's features."""
    world = no_edge(seed, days, model)
    blur = np.random.default_rng([seed, 1]).standard_normal(days)
    features = world.features.copy()
    features[:, 0] = world.returns / model.volatility + _LEAK_BLUR * blur
    return world._replace(features=features)


def bid_ask_bounce(seed: int, days: int, model: SignalModel = MODEL) -> Signals:
    """Return `no_edge` seen through closes at bid or ask, half a spread from the true price."""
    world = no_edge(seed, days + 1, model)
    # The half spread is what crossing costs, less a tenth for fees.
    half_spread = 0.9 * model.cost
    sides = np.random.default_rng([seed, 2]).choice([-half_spread, half_spread], days + 2)
    returns = world.returns + np.diff(sides)
    features = world.features[1:].copy()
    features[:, 0] = returns[:-1] / model.volatility
    return Signals(features, returns[1:], -sides[1:-1], model.cost)


def _planted(seed: int, strength: Floats, model: SignalModel) -> Signals:
    days, width = len(strength), 1 + model.noise_features
    if days < 2 or not model.volatility > 0 or not 0 <= model.persistence < 1 or model.cost < 0:
        raise InvalidValue(
            "A world needs two days, a volatility above zero, a persistence in [0, 1) and a cost "
            "of at least zero.",
            next_step="Check the arguments.",
        )
    rng = np.random.default_rng(seed)
    # One draw per day: a longer world begins with the same days.
    draws = rng.standard_normal((days, width + 1))
    fresh = np.sqrt(1.0 - model.persistence**2)
    features = np.empty((days, width))
    features[0] = draws[0, :width]
    for day in range(1, days):
        features[day] = model.persistence * features[day - 1] + fresh * draws[day, :width]
    drift = strength * model.volatility * features[:, 0]
    return Signals(features, drift + model.volatility * draws[:, width], drift, model.cost)
