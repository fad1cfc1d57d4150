from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.assessment import Abstention, Assessment, in_doubt
from agents.drift import input_statistics
from agents.learning.training import train
from agents.market_view import MarketView
from agents.voting import vote
from domain.settings import ServingSettings
from domain.voting import AgentId

SURE = Assessment(0.2, 0.9, "Because of 3.", {"one": 1.0}, bound=0.1)


def rows(seed=0, count=20_000):
    return np.random.default_rng(seed).normal([1.0, -50.0, 0.0], [0.1, 20.0, 1.0], (count, 3))


def test_training_rows_score_up_to_one_but_for_one_in_a_thousand():
    seen = input_statistics(rows())
    scores = np.array([seen.drift_score(row) for row in rows(seed=1)])
    assert (scores > 1.0).mean() == pytest.approx(0.001, abs=0.001)
    # A χ² of three degrees of freedom stays below 16.27 in 999 of 1,000.
    assert seen.reach == pytest.approx((16.266 / 3) ** 0.5, rel=0.03)


def test_what_was_never_seen_scores_in_proportion():
    seen = input_statistics(rows())
    center, step = np.array(seen.mean), np.array([0.0, 20.0, 0.0])
    assert seen.drift_score(center) == 0.0
    far = [seen.drift_score(center + times * step) for times in (10.0, 20.0)]
    assert far[0] == pytest.approx(10.0 / 3**0.5 / seen.reach, rel=0.02)
    assert far[1] == pytest.approx(2.0 * far[0])


def test_an_input_that_never_moved_is_measured_in_its_own_unit():
    constant = np.column_stack([rows()[:, 0], np.full(20_000, 7.0)])
    seen = input_statistics(constant)
    assert seen.deviation[1] == 1.0
    assert seen.drift_score(np.array([1.0, 9.0])) > 0.5


def test_familiar_inputs_leave_a_judgement_as_it_is():
    assert in_doubt(SURE, 1.0, 2.0) is SURE
    assert in_doubt(SURE, 0.0, 2.0) is SURE


@given(chance=st.floats(0, 1), first=st.floats(1, 1.99), second=st.floats(1, 1.99))
@settings(deadline=None)
def test_confidence_falls_with_drift_and_the_verdict_stays(chance, first, second):
    judgement = SURE._replace(chance=chance)
    little, much = (in_doubt(judgement, d, 2.0) for d in sorted((first, second)))
    assert abs(much.chance - 0.5) <= abs(little.chance - 0.5) + 1e-12
    assert abs(little.chance - 0.5) <= abs(chance - 0.5) + 1e-12
    assert (much.chance >= 0.5) == (chance >= 0.5) or much.chance == pytest.approx(0.5)


def test_half_way_half_of_the_confidence_is_left_and_told():
    found = in_doubt(SURE, 1.5, 2.0)
    assert found.chance == pytest.approx(0.7)
    assert found.support == SURE.support
    assert "drift 1.50" in found.rationale
    assert "50%" in found.rationale
    assert found.measures == {"one": 1.0, "drift": 1.5}


def test_too_much_drift_abstains_with_its_reason():
    assert in_doubt(SURE, 2.0, 2.0) == Abstention(
        "inputs unlike the training data: drift 2.00, 2 allowed"
    )


def test_a_breached_limit_is_told_whatever_the_inputs():
    refused = SURE._replace(veto="maximum_position", chance=0.1)
    assert in_doubt(refused, 99.0, 2.0) is refused


@pytest.mark.parametrize("agent", AgentId)
def test_a_market_gone_wild_makes_every_agent_doubt_and_then_abstain(agent, world, limits):
    model = train(
        agent, world.bars, world.features, until=world.until, seed=3, settings=limits
    ).model

    def cast(most, **changes):
        view = MarketView()
        view.warm_up(world.bars.with_columns(**changes))
        return vote(
            model, "m", view, world.proposal_of(fraction=0.002), occurred_at=world.until,
            limits=limits, serving=ServingSettings(maximum_drift_score=most),
        )  # fmt: skip

    # For three days the source quotes a part of the price that no split makes, and far less as the
    # low.
    wrong = pl.col("timestamp").is_between(
        world.until - timedelta(days=4), world.until - timedelta(days=1), closed="both"
    )
    scaled = {
        name: pl.when(wrong).then(pl.col(name) * by).otherwise(pl.col(name))
        for name, by in {"open": 0.115, "high": 0.115, "close": 0.115, "low": 0.01}.items()
    }
    usual, doubtful, wild = cast(2.0), cast(1e6, **scaled), cast(1.0001, **scaled)
    assert not usual.abstention
    assert "drift" not in usual.rationale
    assert "Inputs are unlike the training data" in doubtful.rationale
    assert float(doubtful.risk_assessment["drift"]) > 1.0
    assert wild.abstention.startswith("inputs unlike the training data: drift")
    assert wild.confidence_ppm == 0
