"""When a session's volume trades: a forecast before the open, and its update during the day.

Before the open, a symbol's share of volume per bucket is its own mean over past sessions, shrunk
towards the usual curve of US equities by as much as single sessions scatter (the mean of a
Dirichlet, its precision by moments). During the day, the activity of the session is inferred from
what has traded, which counts the more, the more of the curve has gone by.
"""

from typing import NamedTuple

import numpy as np

from agents.price_history import Floats, PriceHistory
from domain.errors import InvalidValue

#: Share of a US equity session's volume in each half hour from open to close.
USUAL_CURVE = np.array(
    [0.15, 0.095, 0.08, 0.068, 0.06, 0.057, 0.05, 0.046, 0.048, 0.052, 0.064, 0.08, 0.15]
)
BUCKET_SECONDS = 1800
#: How many past sessions the usual curve is worth, where one session tells its precision.
_PRIOR_SESSIONS = 5.0
#: Variances of log volume: of a session about its forecast, and of its parts about the curve.
#: Measured on hourly bars of SPY, AAPL, IBM and BAC, 2008 to 2021.
SURPRISE = 0.12
SCATTER = 0.02
_MICROSECONDS = 1_000_000
_DAY = 86_400 * _MICROSECONDS


class VolumeForecast(NamedTuple):
    """What a session's volume is expected to be, and when.

    Parameters
    ----------
    curve
        Share of the session's volume in each bucket; sums to 1.
    volume
        Expected shares in the whole session.
    """

    curve: Floats
    volume: float

    @property
    def buckets(self) -> Floats:
        """Expected shares in each bucket."""
        return self.volume * self.curve

    @property
    def elapsed(self) -> Floats:
        """Volume time at the buckets' edges: from 0 at the open to 1 at the close."""
        edges = np.concatenate([[0.0], np.cumsum(self.curve)])
        return edges / edges[-1]


def volume_curve(sessions: Floats, prior: Floats = USUAL_CURVE) -> Floats:
    """Return the share of volume expected in each bucket of the next session; sums to 1.

    Parameters
    ----------
    sessions
        Past volumes, sessions × buckets, oldest first; none gives the prior. Sessions without
        volume are left out.

    Raises
    ------
    InvalidValue
        If a volume is negative or not finite, or the buckets are not the prior's.
    """
    if sessions.ndim != 2 or sessions.shape[1] != len(prior):
        raise InvalidValue(
            f"Volumes of shape {sessions.shape} for {len(prior)} buckets.",
            next_step="Give sessions × buckets.",
        )
    if not np.isfinite(sessions).all() or (sessions < 0).any():
        raise InvalidValue(
            "A volume is negative or not finite.", next_step="Quarantine the bar at its source."
        )
    usual = prior / prior.sum()
    totals = sessions.sum(axis=1, keepdims=True)
    traded = totals[:, 0] > 0
    shares = sessions[traded] / totals[traded]
    weight = _prior_sessions(shares, usual)
    return (weight * usual + shares.sum(axis=0)) / (weight + len(shares))


def _prior_sessions(shares: Floats, usual: Floats) -> float:
    """Return how many sessions the usual curve is worth: scatter over distance, squared.

    Empirical Bayes (James & Stein): a symbol whose own mean lies farther from the usual curve
    than its sessions' scatter explains is trusted sooner.
    """
    if len(shares) < 2:
        return _PRIOR_SESSIONS
    scatter = float(shares.var(axis=0, ddof=1).sum())
    distance = float(((shares.mean(axis=0) - usual) ** 2).sum())
    between = distance - scatter / len(shares)
    if between <= 0:
        return _PRIOR_SESSIONS * len(shares)
    return min(scatter / between, _PRIOR_SESSIONS * len(shares))


def update(forecast: VolumeForecast, traded: Floats) -> VolumeForecast:
    """Return the forecast given the volumes of the session's first buckets.

    The session's volume is V·θ with log θ normal about 0. What has traded over a share c of the
    curve tells log θ with an error of variance scatter · (1 - c) / c; weighed by precision, the
    two give the rest of the day, which keeps its proportions. The past is what it was.

    Raises
    ------
    InvalidValue
        If there are more volumes than buckets, or one is negative or not finite.
    """
    passed = len(traded)
    if passed > len(forecast.curve) or not np.isfinite(traded).all() or (traded < 0).any():
        raise InvalidValue(
            "The volumes traded so far do not fit the session.",
            next_step="Give one volume per bucket that has passed.",
        )
    gone, seen = float(traded.sum()), float(forecast.elapsed[passed])
    if gone <= 0 or seen <= 0 or forecast.volume <= 0:
        return forecast
    error = SCATTER * (1.0 - seen) / seen
    activity = (gone / (forecast.volume * seen)) ** (SURPRISE / (SURPRISE + error))
    buckets = np.concatenate([traded, activity * forecast.buckets[passed:]])
    return VolumeForecast(buckets / buckets.sum(), float(buckets.sum()))


def session_volumes(
    history: PriceHistory, *, buckets: int = len(USUAL_CURVE), seconds: int = BUCKET_SECONDS
) -> Floats:
    """Return volumes per session and bucket (sessions × buckets) from bars within the day.

    Bars are labelled by their close. A session is a UTC date and opens one bar before its first;
    bars past its last bucket are left out, and so are sessions that traded in less than half of
    the buckets. Daily bars, one a session, tell nothing: no rows.
    """
    none = np.zeros((0, buckets))
    if history.length < 2:
        return none
    starts = history.times - _bar_length(history)
    dates = starts // _DAY
    _, first, session = np.unique(dates, return_index=True, return_inverse=True)
    bucket = (starts - starts[first][session]) // (seconds * _MICROSECONDS)
    inside = bucket < buckets
    table = np.zeros((len(first), buckets))
    np.add.at(table, (session[inside], bucket[inside]), history.volume[inside])
    return table[(table > 0).sum(axis=1) * 2 >= buckets]


def _bar_length(history: PriceHistory) -> int:
    return int(np.diff(history.times).min())
