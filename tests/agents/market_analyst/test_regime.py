from datetime import UTC, datetime

import numpy as np
import pytest

from agents.market_analyst.regime import (
    FEWEST_BARS,
    Regime,
    assess_regime,
    first_guesses,
    fit_states,
    name_in,
    observations,
)
from agents.price_history import PriceHistory, to_microseconds
from domain.errors import InvalidValue

VOLATILITIES = np.array([0.008, 0.02])
START = to_microseconds(datetime(2015, 1, 5, 21, tzinfo=UTC))


def planted(days, seed, stay=0.98):
    """States that last 50 days, and bars whose range comes from a walk within the day."""
    random = np.random.default_rng(seed)
    states = np.zeros(days, int)
    for day in range(1, days):
        states[day] = states[day - 1] if random.random() < stay else 1 - states[day - 1]
    return states, walk(VOLATILITIES[states], seed)


def walk(volatilities, seed=1, steps=26):
    random = np.random.default_rng(seed)
    moves = random.standard_normal((len(volatilities), steps)) * volatilities[:, None] / steps**0.5
    within = np.cumsum(moves, axis=1)
    close = np.cumsum(within[:, -1])
    paths = np.exp(close - within[:, -1])[:, None] * np.exp(np.c_[np.zeros(len(close)), within])
    times = START + np.arange(len(close)) * 86_400_000_000
    return PriceHistory(
        times,
        paths[:, 0] * 100,
        paths.max(axis=1) * 100,
        paths.min(axis=1) * 100,
        paths[:, -1] * 100,
        np.full(len(close), 1e6),
    )


def until(history, bars):
    return PriceHistory(*(column[:bars] for column in history))


@pytest.mark.parametrize("seed", range(5))
def test_planted_states_are_told_as_they_come(seed):
    states, history = planted(2000, seed)
    days = observations(history)
    learned = fit_states(days[:1000])
    assert learned.model.states == 2
    told = learned.filtered(days[1000:]).probabilities.argmax(axis=1)
    assert (told == states[1001:]).mean() >= 0.88
    found = np.sqrt(learned.model.covariances[:, 0, 0]) * learned.scale[0]
    assert found == pytest.approx(VOLATILITIES, rel=0.25)


def test_the_regime_is_what_the_world_is_in():
    calm, storm = np.full(900, 0.008), np.full(60, 0.02)
    mixed = np.concatenate([calm[:300], storm, calm[:200], storm, calm[:200], storm, calm[:120]])
    history = walk(mixed)
    regime = assess_regime(history)
    assert regime.name == "calm"
    assert regime.probability > 0.9
    assert regime.expected_days > 20
    assert regime.familiarity > 0.02
    assert regime.volatilities == pytest.approx(tuple(VOLATILITIES), rel=0.3)
    stormy = assess_regime(until(history, 1000 - 120))
    assert stormy.name == "turbulent"


def test_a_week_unlike_any_is_told():
    history = planted(1000, 3)[1]
    wild = walk(np.concatenate([np.full(400, 0.008), np.full(5, 0.15)]))
    assert not assess_regime(history).unlike_anything_seen
    strange = assess_regime(wild)
    assert strange.unlike_anything_seen
    assert "unlike anything seen" in strange.in_words()


def test_only_the_past_is_read():
    _, history = planted(1500, 7)
    for bars in (800, 1100, 1400):
        later = history.close.copy()
        later[bars:] *= np.exp(np.linspace(0, 3, len(later) - bars))
        longer = history._replace(close=later)
        assert assess_regime(until(history, bars)) == assess_regime(until(longer, bars))


def test_later_bars_of_the_year_do_not_change_the_states():
    _, history = planted(1500, 7)
    volatilities = {assess_regime(until(history, bars)).volatilities for bars in (1100, 1200, 1300)}
    assert len(volatilities) == 1


def test_one_kind_of_days_is_one_state():
    states = fit_states(observations(walk(np.full(700, 0.01), seed=4)))
    assert states.model.states == 1


def test_the_same_days_give_the_same_states_wherever_they_are_fitted():
    days = observations(planted(900, 5)[1])
    first, again = fit_states(days), fit_states(days.copy())
    assert all(np.array_equal(a, b) for a, b in zip(first.model, again.model, strict=True))
    assert (np.diff(first.model.covariances[:, 0, 0]) > 0).all()
    assert np.array_equal(first_guesses(days, 2), first_guesses(days, 2))


def test_a_scale_of_prices_changes_nothing():
    _, history = planted(900, 6)
    dearer = history._replace(
        **{n: getattr(history, n) * 7.0 for n in ("open", "high", "low", "close")}
    )
    ours, theirs = assess_regime(history), assess_regime(dearer)
    assert ours.name == theirs.name
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)


def test_short_or_still_history_has_no_regime():
    assert assess_regime(walk(np.full(200, 0.01))) is None
    still = np.full(800, 100.0)
    times = START + np.arange(800) * 86_400_000_000
    assert assess_regime(PriceHistory(times, still, still, still, still, still)) is None
    assert fit_states(np.zeros((FEWEST_BARS - 1, 2))) is None
    for bars in (0, 1, 2, FEWEST_BARS):
        assert assess_regime(until(walk(np.full(800, 0.01)), bars)) is None


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_a_price_that_is_none_is_refused(bad):
    history = walk(np.full(800, 0.01))
    close = history.close.copy()
    close[700] = bad
    with pytest.raises(InvalidValue, match="not a positive number"):
        assess_regime(history._replace(close=close))


def test_gaps_between_bars_are_no_fault():
    _, history = planted(1200, 8)
    kept = np.r_[0:500, 530:1200]
    gappy = PriceHistory(*(column[kept] for column in history))
    assert assess_regime(gappy).name == assess_regime(history).name


@pytest.mark.parametrize("name", ["steady", "calm", "normal", "turbulent"])
@pytest.mark.parametrize("familiarity", [0.0, 0.5])
def test_the_name_is_read_back_from_a_proposals_words(name, familiarity):
    told = Regime(name, (0.93, 0.07), (0.01, 0.02), 41.0, familiarity)
    assert name_in(f"BUY 5 IBM: odds for it; {told.in_words()}; no news.") == name
    assert name_in("BUY 5 IBM: odds for it; regime unknown; no news.") == ""
