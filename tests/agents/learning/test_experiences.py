from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.experiences import experience_frame, experiences_of, rewarded_states
from agents.learning.training import train
from agents.market_analyst.training import INPUTS
from domain.experience import Experience
from domain.identity import derive_id
from domain.voting import Action, AgentId, Outcome

NOW = datetime(2024, 5, 6, 21, tzinfo=UTC)


def lived(at, number, *, action=Action.BUY, reward="0.01", state=None):
    state = dict.fromkeys(INPUTS, Decimal("0.1")) if state is None else state
    return Experience(
        message_id=derive_id("experience", str(number)),
        correlation_id="",
        occurred_at=at,
        decision_id=str(number),
        symbol="AAA",
        state=state | ({"log_volatility_ewma": Decimal("-4.5")} if state else {}),
        action=action,
        outcome=Outcome.EXECUTE,
        reward=Decimal(reward),
        next_state={},
        horizon_days=5,
        agent_contributions={"market_analyst": Decimal(reward)},
        scores={"market_analyst": 80},
        confidences_ppm={"market_analyst": 600_000},
    )


def test_the_table_keeps_what_training_needs(until):
    at = until - timedelta(days=3)
    frame = experience_frame(
        [
            lived(at, 1),
            lived(at, 2, action=Action.SELL, reward="-0.02"),
            lived(until, 3),
            lived(at, 4, state={}),
        ]
    )
    states, directions, rewards = rewarded_states(frame, INPUTS, until)
    assert states.shape == (2, len(INPUTS))
    assert sorted(zip(directions, rewards, strict=True)) == [(-1.0, -0.02), (1.0, 0.01)]
    assert states[0, INPUTS.index("log_volatility_ewma")] == -4.5


@given(
    reward=st.decimals(-1, 1, places=9),
    state=st.dictionaries(st.sampled_from(INPUTS), st.decimals(-9_999, 9_999, places=6)),
    parts=st.lists(st.decimals(-1, 1, places=9), min_size=4, max_size=4),
)
@settings(deadline=None, max_examples=30)
def test_what_is_read_back_is_what_was_lived(reward, state, parts):
    agents = [agent.value for agent in AgentId]
    told = msgspec.structs.replace(
        lived(NOW, 1, reward=str(reward), state=state),
        agent_contributions=dict(zip(agents, parts, strict=True)),
        next_state={"price": Decimal("101.25")},
        bounds={"execution": Decimal("0.000031416")},
        model_versions={"execution": "execution@2:abcdef01"},
        realised={"volatility": Decimal("0.012345679")},
        causation_id="bar",
        correlation_id="walk",
    )
    other = lived(NOW, 2)
    assert experiences_of(experience_frame([other, told])) == sorted(
        [told, other], key=lambda each: each.message_id
    )


def test_a_table_of_an_earlier_release_is_read_with_defaults():
    frame = experience_frame([lived(NOW, 1)])
    old = frame.drop("bounds", "model_versions", "realised", "correlation_id", "causation_id")
    assert experiences_of(old) == [lived(NOW, 1)]


def test_no_experiences_are_no_samples(until):
    for frame in (None, experience_frame([])):
        states, directions, _ = rewarded_states(frame, INPUTS, until)
        assert states.shape == (0, len(INPUTS))
        assert len(directions) == 0


def test_what_was_lived_through_is_learned_from(bars, features, until, limits):
    frame = experience_frame(
        [lived(until - timedelta(days=9), n, reward="0.05") for n in range(300)]
    )
    before, after = (
        train(
            AgentId.MARKET_ANALYST,
            bars,
            features,
            experiences=known,
            until=until,
            seed=5,
            settings=limits,
        ).loss_curve
        for known in (None, frame)
    )
    # The tuning rows stay the same; the training loss now holds the samples lived through, and
    # learning them lowers it by more.
    assert before[0].tuning == after[0].tuning
    assert after[0].training != before[0].training
    assert after[0].training - after[-1].training > before[0].training - before[-1].training
