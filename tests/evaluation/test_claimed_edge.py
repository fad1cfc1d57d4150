from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import erf, sqrt

import pytest

from domain.experience import Experience
from domain.voting import Action, AgentId, Outcome
from evaluation import signal_worlds as worlds
from evaluation.claimed_edge import FEWEST_HORIZONS, claimed_edge

ANALYST, LABEL = AgentId.MARKET_ANALYST, "market_analyst@1"
MODEL = worlds.SignalModel(sharpe=0.6)
SYMBOLS, DAYS, LAST = 6, 300, 199
START = datetime(2020, 1, 1, tzinfo=UTC)


def lived(day, symbol, *, chance, reward, horizon=1, label=LABEL):
    return Experience(
        message_id=f"{day}-{symbol}",
        correlation_id="",
        occurred_at=START + timedelta(days=day),
        decision_id="d",
        symbol=f"S{symbol}",
        state={},
        action=Action.BUY,
        outcome=Outcome.EXECUTE,
        reward=Decimal(repr(float(reward))),
        next_state={},
        horizon_days=horizon,
        agent_contributions={},
        scores={ANALYST: 80},
        confidences_ppm={ANALYST: round(1e6 * chance)},
        model_versions={ANALYST: label},
    )


def told(make, seed):
    """Return what an agent lives through who knows the signal, and takes it to last."""
    found = []
    for symbol in range(SYMBOLS):
        world = make(100 * seed + symbol)
        for day in range(DAYS):
            lean = MODEL.sharpe * world.features[day, 0]
            chance = 0.5 * (1.0 + erf(abs(lean) / sqrt(2.0)))
            reward = world.returns[day] * (1 if lean > 0 else -1)
            found.append(lived(day, symbol, chance=chance, reward=reward))
    return found


def test_an_edge_that_ends_is_noticed_and_one_that_lasts_seldom_doubted():
    doubted = 0
    for seed in range(20, 30):
        world = told(lambda s: worlds.ending_edge(s, DAYS, LAST, MODEL), seed)
        lasting = [e for e in world if e.occurred_at <= START + timedelta(days=LAST)]
        while_it_lasts = claimed_edge(ANALYST, LABEL, lasting)
        assert while_it_lasts.earned == pytest.approx(while_it_lasts.claimed, abs=0.05)
        doubted += while_it_lasts.ended
        after_it_ended = claimed_edge(ANALYST, LABEL, world)
        assert after_it_ended.ended
        assert after_it_ended.statistic > after_it_ended.limit
        assert "passed at horizon" in after_it_ended.reason
    # Promised is one false alarm in 2,520 days; these are ten times 200.
    assert doubted <= 3


def test_only_the_verdicts_of_the_model_asked_for_count():
    old = [lived(d, 0, chance=0.9, reward=-0.01, label="market_analyst@0") for d in range(40)]
    new = [lived(40 + d, 0, chance=0.7, reward=0.01 if d % 3 else -0.01) for d in range(40)]
    found = claimed_edge(ANALYST, LABEL, old + new)
    assert (found.verdicts, found.horizons, found.ended) == (40, 40, False)
    assert claimed_edge(ANALYST, "market_analyst@0", old + new).earned == pytest.approx(-0.5)


def test_overlapping_outcomes_are_one_observation():
    many = [lived(d, s, chance=0.6, reward=0.01, horizon=5) for d in range(50) for s in range(2)]
    found = claimed_edge(ANALYST, LABEL, many)
    assert (found.verdicts, found.horizons) == (100, 10)


@pytest.mark.parametrize(
    ("lived_through", "reason"),
    [
        ([], "0 horizons with verdicts"),
        ([lived(d, 0, chance=0.6, reward=1) for d in range(FEWEST_HORIZONS - 1)], "needed"),
        ([lived(d, 0, chance=0.5, reward=1 - 2 * (d % 2)) for d in range(20)], "No edge was"),
    ],
)
def test_what_cannot_be_tested_says_so(lived_through, reason):
    found = claimed_edge(ANALYST, LABEL, lived_through)
    assert not found.ended
    assert reason in found.reason
