"""The calibration follows what came, in steps that no outcomes make larger than their bounds."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.optimize import minimize

from agents.assessment import Assessment
from agents.calibration import Knots
from agents.learning.online import (
    Bounds,
    Correction,
    came_true,
    chance_of,
    correction,
    drift,
    update,
)
from agents.model import OUTPUTS, Specification
from agents.scores import even_support
from domain.errors import DataQualityError, InvalidValue, ModelRefused
from domain.experience import Experience
from domain.voting import Action, AgentId, Outcome

NOW = datetime(2012, 5, 1, tzinfo=UTC)
BOUNDS = Bounds(least_outcomes=20, largest_step=0.03, largest_drift=0.12)
RISING = Knots((-2.0, -1.0, 0.0, 1.0, 2.0), (0.2, 0.35, 0.5, 0.65, 0.8))


def specification(agent=AgentId.RISK_MANAGER, chances: Knots = RISING) -> Specification:
    return Specification(
        agent=agent,
        architecture="classic",
        inputs=("return_1",),
        outputs=OUTPUTS[agent],
        hidden_units=0,
        horizon_days=5,
        trained_until=NOW,
        score=Knots((-0.25, 0.0, 1.0), (65.0, 75.0, 77.0)),
        confidence=chances,
        calibrations={"up": chances, "down": chances},
    )


ANCHOR = specification()


def outcomes(seed: int, count: int = 400, slope: float = 1.0, intercept: float = 0.0):
    """Return claimed chances, and what comes where the truth is another line in log odds."""
    rng = np.random.default_rng(seed)
    chances = rng.uniform(0.2, 0.8, count)
    truth = 1.0 / (1.0 + np.exp(-(intercept + slope * np.log(chances / (1.0 - chances)))))
    return chances, rng.random(count) < truth


claims = st.lists(
    st.tuples(st.floats(1e-9, 1.0, exclude_max=True), st.booleans()), min_size=0, max_size=80
).map(lambda rows: (np.array([c for c, _ in rows]), np.array([o for _, o in rows], dtype=bool)))


@given(st.lists(claims, min_size=1, max_size=8), st.floats(1e-5, 0.1), st.floats(0.0, 0.4))
def test_no_sequence_of_outcomes_moves_a_chance_beyond_the_bounds(sequence, step, more):
    bounds = Bounds(1, step, step + more)
    parent = ANCHOR
    for chances, happened in sequence:
        made = update(ANCHOR, parent, chances, happened, until=NOW, bounds=bounds)
        if made is None:
            continue
        knots = made.specification.confidence
        assert np.abs(np.subtract(knots.y, parent.confidence.y)).max() <= step + 1e-12
        assert np.abs(np.subtract(knots.y, ANCHOR.confidence.y)).max() <= step + more + 1e-12
        assert (made.step, made.drift) == (
            pytest.approx(drift(parent, made.specification), abs=1e-9),
            pytest.approx(drift(ANCHOR, made.specification), abs=1e-9),
        )
        assert all(low <= high for low, high in pairwise(knots.y)), "support still counts for it"
        parent = made.specification


@given(claims, st.randoms(use_true_random=False))
def test_the_order_of_outcomes_makes_no_difference_in_the_last_digit(rows, random):
    chances, happened = rows
    order = np.array(random.sample(range(len(chances)), len(chances)), dtype=int)
    again = correction(chances[order], happened[order])
    assert again == correction(chances, happened)


def test_without_enough_outcomes_nothing_changes():
    chances, happened = outcomes(1, BOUNDS.least_outcomes - 1)
    assert update(ANCHOR, ANCHOR, chances, happened, until=NOW, bounds=BOUNDS) is None
    nothing = np.zeros(0), np.zeros(0, dtype=bool)
    assert update(ANCHOR, ANCHOR, *nothing, until=NOW, bounds=BOUNDS) is None
    assert correction(*nothing) == Correction()


def test_it_goes_to_the_line_that_is_true_and_a_bounded_step_at_a_time():
    chances, happened = outcomes(2, 100_000, slope=0.7, intercept=0.15)
    found = correction(chances, happened)
    assert found.intercept == pytest.approx(0.15, abs=0.02)
    assert found.slope == pytest.approx(0.7, abs=0.02)
    parent, steps = ANCHOR, 0
    while made := update(ANCHOR, parent, chances, happened, until=NOW, bounds=BOUNDS):
        parent, steps = made.specification, steps + 1
    claimed = np.array(RISING.y)
    truth = 1.0 / (1.0 + np.exp(-0.15) * ((1.0 - claimed) / claimed) ** 0.7)
    assert parent.confidence.y == pytest.approx(tuple(truth), abs=0.01)
    assert steps == np.ceil(drift(ANCHOR, parent) / BOUNDS.largest_step)


def test_the_mode_is_that_of_an_independent_optimiser():
    """`scipy.optimize.minimize` (BFGS) on the penalised log likelihood, written out."""
    chances, happened = outcomes(3, 200, slope=0.6, intercept=-0.4)
    odds = np.log(chances / (1 - chances))

    def loss(line):
        said = line[0] + line[1] * odds
        surprise = np.logaddexp(0.0, said) - happened * said
        return 0.2 * surprise.sum() + (line[0] ** 2 + (line[1] - 1.0) ** 2) / (2 * 0.25)

    expected = minimize(loss, [0.0, 1.0], tol=1e-10).x
    assert correction(chances, happened, 0.2) == pytest.approx(tuple(expected), abs=1e-4)


def test_a_market_turned_around_is_answered_by_not_knowing_but_never_by_turning_the_model():
    chances, happened = outcomes(4, slope=-1.0)
    assert correction(chances, happened).slope == 0.0
    assert abs(correction(chances, happened).intercept) < 0.2


def test_after_the_market_turns_back_the_chances_come_back():
    wild, tame = outcomes(5, slope=-1.0), outcomes(6, 2_000)
    parent = ANCHOR
    for rows in [wild] * 8 + [tame] * 12:
        made = update(ANCHOR, parent, *rows, until=NOW, bounds=BOUNDS)
        parent = made.specification if made else parent
        if rows is wild:
            furthest = drift(ANCHOR, parent)
    assert furthest > 0.1
    assert drift(ANCHOR, parent) < 0.04


def test_an_update_says_until_when_it_learned_and_keeps_all_else():
    chances, happened = outcomes(7, slope=0.0)
    later = datetime(2012, 7, 1, tzinfo=UTC)
    made = update(ANCHOR, ANCHOR, chances, happened, until=later, bounds=BOUNDS).specification
    assert made.updated_until == later
    same = replace(made, updated_until=None, confidence=ANCHOR.confidence, score=ANCHOR.score)
    assert same == ANCHOR


def test_75_stays_where_the_chance_is_one_half():
    chances, happened = outcomes(8, 5_000, intercept=-0.4)
    made = update(ANCHOR, ANCHOR, chances, happened, until=NOW, bounds=BOUNDS).specification
    even = even_support(made.confidence)
    assert even > 0.05
    assert made.score(even) == pytest.approx(75.0, abs=1e-3)


def test_the_market_analysts_two_directions_are_corrected_alike():
    analyst = specification(AgentId.MARKET_ANALYST)
    made = update(analyst, analyst, *outcomes(9, slope=0.0), until=NOW, bounds=BOUNDS)
    found = made.specification
    assert found.calibrations["up"] == found.calibrations["down"] != RISING
    assert (found.score, found.confidence) == (analyst.score, analyst.confidence)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 0.0, 1.0, -0.1])
def test_what_is_no_chance_is_refused(wrong):
    chances, happened = outcomes(10)
    chances[3] = wrong
    with pytest.raises(DataQualityError, match="not inside"):
        update(ANCHOR, ANCHOR, chances, happened, until=NOW, bounds=BOUNDS)


def test_chances_without_outcome_are_refused():
    chances, happened = outcomes(11)
    with pytest.raises(DataQualityError):
        update(ANCHOR, ANCHOR, chances, happened[1:], until=NOW, bounds=BOUNDS)


@pytest.mark.parametrize(
    "bounds",
    [Bounds(0, 0.1, 0.2), Bounds(1, 0.0, 0.2), Bounds(1, 0.3, 0.2), Bounds(1, float("nan"), 0.2)],
)
def test_bounds_that_bound_nothing_are_refused(bounds):
    with pytest.raises(InvalidValue, match="bounds"):
        update(ANCHOR, ANCHOR, *outcomes(12), until=NOW, bounds=bounds)


def test_a_parent_beyond_the_bounds_or_of_another_model_is_refused():
    far = replace(ANCHOR, confidence=Knots(RISING.x, (0.4, 0.45, 0.5, 0.55, 0.6)))
    with pytest.raises(ModelRefused, match=r"drifted by 0\.2"):
        update(ANCHOR, far, *outcomes(13), until=NOW, bounds=BOUNDS)
    other = replace(ANCHOR, confidence=Knots((0.0, 1.0), (0.4, 0.6)))
    with pytest.raises(ModelRefused, match="does not descend"):
        drift(ANCHOR, other)


def experience(**changed) -> Experience:
    return replace(
        Experience(
            message_id="m", correlation_id="c", occurred_at=NOW, decision_id="d", symbol="IBM",
            state={}, action=Action.BUY, outcome=Outcome.EXECUTE, reward=Decimal("0.01"),
            next_state={}, horizon_days=5, agent_contributions={}, scores={}, confidences_ppm={},
            realised={"volatility": Decimal("0.02")},
        ),
        **changed,
    )  # fmt: skip


def judgement(**changed) -> Assessment:
    return Assessment(0.5, 0.9, "", {"chance_right": 0.57}, bound=0.03)._replace(**changed)


def test_what_is_claimed_is_the_knots_word_whatever_became_of_it_in_the_vote():
    assert chance_of(ANCHOR, judgement()) == pytest.approx(0.575)
    assert chance_of(specification(AgentId.MARKET_ANALYST), judgement()) == 0.57


@pytest.mark.parametrize(
    ("agent", "bound", "reward", "expected"),
    [
        (AgentId.MARKET_ANALYST, 0.03, "0.01", True),  # that it earns anything, hurdle or not
        (AgentId.MARKET_ANALYST, 0.03, "0", False),
        (AgentId.PORTFOLIO_OPTIMIZER, 0.03, "0.01", False),
        (AgentId.PORTFOLIO_OPTIMIZER, -0.01, "0", True),
        (AgentId.RISK_MANAGER, 0.03, "0.01", True),
        (AgentId.RISK_MANAGER, 0.01, "0.01", False),
        (AgentId.RISK_MANAGER, None, "0.01", None),
        (AgentId.EXECUTION, 0.03, "0.01", None),  # what getting in cost is not on record
    ],
)
def test_a_claim_is_held_to_the_bound_that_was_judged_by(agent, bound, reward, expected):
    assert came_true(agent, judgement(bound=bound), experience(reward=Decimal(reward))) is expected
