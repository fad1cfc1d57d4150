from datetime import timedelta
from decimal import Decimal

from agents.learning.experiences import experience_frame, rewarded_states
from agents.learning.training import train
from agents.market_analyst.training import INPUTS
from domain.experience import Experience
from domain.identity import derive_id
from domain.voting import Action, AgentId, Outcome


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
