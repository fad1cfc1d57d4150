"""The market regime, causally: states of return and range, how sure, how long, how familiar.

States are fitted on the bars before the present year, never on later ones, and filtered up to the
newest bar, never smoothed: cutting off the future changes nothing.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agents.market_analyst.hidden_markov import Filtered, Fit, MarkovModel, filtered, fit
from agents.price_history import Floats, Microseconds, PriceHistory
from domain.errors import InvalidValue

#: Bars that states are fitted on at most (four years), and at least (one).
MOST_BARS, FEWEST_BARS = 1008, 252
#: Bars that are filtered: after a year nothing is left of what was believed at its start.
FILTERED_BARS = 252
#: States that are tried. Each must last; three must also be found again in half of the data,
#: which on daily bars they rarely are.
CANDIDATES = (1, 2, 3)
#: Share of days on which a fit on half of the days must agree.
LEAST_AGREEMENT = 0.9
#: Mean days in a state below which it is no regime but a kind of day: of two states that take
#: turns by chance alone, one stays at most two days.
LEAST_STAY_DAYS = 3.0
#: Days over which likelihood is averaged: one odd day in a week of usual ones is no new world.
FAMILIARITY_DAYS = 5

_BARS_A_YEAR = 366
_PARKINSON = 1.0 / (4.0 * np.log(2.0))
_RANGE_FLOOR = 1e-4
#: Shares of days called calm in the first guesses; the rest is turbulent.
_FIRST_GUESSES = (0.4, 0.6, 0.75, 0.9)
_SURENESS = 0.9
_NAMES = {1: ("steady",), 2: ("calm", "turbulent"), 3: ("calm", "normal", "turbulent")}
_PLACES = 6
_TOLD = re.compile(r"\b(\w+) regime \(")


class Regime(NamedTuple):
    """What state the market is in as of the newest bar.

    Parameters
    ----------
    name
        Of the likeliest state; states are ordered by volatility: calm, (normal,) turbulent.
        ``steady`` where the evidence is for one state only.
    probabilities
        Of each state, calmest first.
    volatilities
        Standard deviation of a day's log return in each state.
    expected_days
        Mean length of a stay in the likeliest state.
    familiarity
        Share of the days fitted on whose week was less likely than the newest one is, 0 … 1.
    """

    name: str
    probabilities: tuple[float, ...]
    volatilities: tuple[float, ...]
    expected_days: float
    familiarity: float

    @property
    def probability(self) -> float:
        """Of the likeliest state."""
        return max(self.probabilities)

    @property
    def unlike_anything_seen(self) -> bool:
        """Whether no week of those fitted on was as unlikely as the newest one."""
        return self.familiarity == 0.0

    def in_words(self) -> str:
        """Return ``calm regime (93 %, 41 days)`` and, where so, that it is unlike the past."""
        strange = ", unlike anything seen" if self.unlike_anything_seen else ""
        return (
            f"{self.name} regime ({self.probability:.0%}, {self.expected_days:.0f} days{strange})"
        )


def name_in(words: str) -> str:
    """Return the name of the regime that `Regime.in_words` told in a proposal's words, or ""."""
    told = _TOLD.search(words)
    return told.group(1) if told else ""


class States(NamedTuple):
    """A fitted model, the scale of its observations, and how likely its own weeks were."""

    model: MarkovModel
    center: Floats
    scale: Floats
    weekly_log_densities: Floats

    def filtered(self, observations: Floats) -> Filtered:
        """Return state probabilities of each day from the days up to it."""
        return filtered(self.model, (observations - self.center) / self.scale)


def assess_regime(history: PriceHistory) -> Regime | None:
    """Return the regime as of the newest bar.

    None where fewer than 253 bars lie before the newest bar's year, or prices do not move. Bars
    before a split that prices are not adjusted for are left out.

    Raises
    ------
    InvalidValue
        If a price is not finite or not positive.
    """
    if history.length <= FEWEST_BARS:
        return None
    bars = history.last(MOST_BARS + _BARS_A_YEAR).since_split()
    if bars.length <= FEWEST_BARS:
        return None
    days = observations(bars)
    past = int(np.searchsorted(bars.times[1:], _start_of_year(bars.times[-1:]))[0])
    states = fit_states(days[max(0, past - MOST_BARS) : past])
    if states is None:
        return None
    seen = states.filtered(days[-FILTERED_BARS:])
    now = seen.probabilities[-1].round(_PLACES)
    week = float(seen.log_densities[-FAMILIARITY_DAYS:].mean())
    index = int(now.argmax())
    stay = float(states.model.transitions[index, index])
    volatilities = np.sqrt(states.model.covariances[:, 0, 0]) * states.scale[0]
    return Regime(
        name=_NAMES[states.model.states][index],
        probabilities=tuple(now.tolist()),
        volatilities=tuple(volatilities.round(_PLACES).tolist()),
        expected_days=round(1.0 / max(1.0 - stay, 1.0 / MOST_BARS), 1),
        familiarity=round(float((states.weekly_log_densities < week).mean()), _PLACES),
    )


def observations(bars: PriceHistory) -> Floats:
    """Return log return and log Parkinson volatility of each bar but the first, (bars - 1, 2).

    Raises
    ------
    InvalidValue
        If a price is not finite or not positive.
    """
    prices = np.stack([bars.high, bars.low, bars.close])
    if not (np.isfinite(prices) & (prices > 0.0)).all():
        raise InvalidValue(
            "A price of the history is not a positive number.",
            next_step="Quarantine such bars where they are ingested.",
        )
    ranges = np.sqrt(_PARKINSON) * np.log(bars.high[1:] / bars.low[1:])
    return np.column_stack([bars.log_returns(), np.log(np.maximum(ranges, _RANGE_FLOOR))])


def fit_states(past_days: Floats) -> States | None:
    """Return the states with the most evidence; None below 252 days or where nothing moves.

    The number of states has the least BIC among those that are stable: each state lasts, and of
    three, a fit on the first half of the days names the other days as the fit on all does.
    """
    if len(past_days) < FEWEST_BARS:
        return None
    return _fit_states(past_days.tobytes())


@lru_cache(maxsize=1024)
def _fit_states(packed: bytes) -> States | None:
    past_days = np.frombuffer(packed).reshape(-1, 2)
    center, scale = past_days.mean(axis=0), past_days.std(axis=0)
    if scale[0] < _RANGE_FLOOR * 1e-3:
        return None
    scale = np.maximum(scale, 1e-9)
    standard = (past_days - center) / scale
    fits = {count: _fit(standard, count) for count in CANDIDATES}
    by_evidence = sorted(CANDIDATES, key=lambda count: fits[count].bayes_criterion(len(standard)))
    chosen = next(count for count in by_evidence if _is_stable(fits[count].model, standard))
    model = fits[chosen].model
    weekly = _weekly(filtered(model, standard).log_densities)
    return States(model, center, scale, weekly)


def _fit(standard: Floats, count: int) -> Fit:
    found = fit(standard, first_guesses(standard, count))
    order = np.argsort(found.model.covariances[:, 0, 0], kind="stable")
    return found._replace(model=found.model.ordered(order))


def first_guesses(standard: Floats, count: int) -> Floats:
    """Return state probabilities to start from, (starts, days, states): the days cut by range.

    There is no chance in them: the same days give the same states.
    """
    days = len(standard)
    if count == 1:
        return np.ones((1, days, 1))
    calm = np.array(_FIRST_GUESSES)
    cuts = np.linspace(calm, 1.0, count, axis=1)[:, :-1]
    levels = np.quantile(standard[:, 1], cuts)
    states = (standard[None, :, 1, None] > levels[:, None, :]).sum(axis=2)
    return np.where(
        np.arange(count) == states[..., None], _SURENESS, (1.0 - _SURENESS) / (count - 1)
    )


def _is_stable(model: MarkovModel, standard: Floats) -> bool:
    if model.states == 1:
        return True
    if model.transitions.diagonal().min() < 1.0 - 1.0 / LEAST_STAY_DAYS:
        return False
    if model.states == 2:
        return True
    half = len(standard) // 2
    other = _fit(standard[:half], model.states).model
    labels = [filtered(m, standard)[0][half:].argmax(axis=1) for m in (model, other)]
    return bool((labels[0] == labels[1]).mean() >= LEAST_AGREEMENT)


def _weekly(log_densities: Floats) -> Floats:
    sums = np.cumsum(np.concatenate([[0.0], log_densities]))
    return (sums[FAMILIARITY_DAYS:] - sums[:-FAMILIARITY_DAYS]) / FAMILIARITY_DAYS


def _start_of_year(time: Microseconds) -> Microseconds:
    """Return the first instant of an instant's year (UTC)."""
    year = time.astype("datetime64[us]").astype("datetime64[Y]")
    return year.astype("datetime64[us]").astype(np.int64)
