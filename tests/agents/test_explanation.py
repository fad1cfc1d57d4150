import re

import numpy as np
import pytest

from agents.assessment import Case
from agents.indicators import FEATURE_NAMES
from agents.indicators.words import WORDS
from agents.learning.training import train
from agents.model import OUTPUTS
from agents.voting import judge
from domain.voting import AgentId

LEARNED = {
    AgentId.RISK_MANAGER: ("volatility forecast", "log_variance"),
    AgentId.PORTFOLIO_OPTIMIZER: ("tilt of the target weight", "preference"),
    AgentId.EXECUTION: ("volume forecast", "log_relative_volume"),
}


@pytest.fixture
def judged(view, world):
    def run(model, proposal):
        return judge(model, view, proposal, limits=world.limits, serving=world.serving)

    return run


@pytest.mark.parametrize("agent", LEARNED)
def test_a_learned_forecast_is_attributed_in_words_and_numbers(agent, world, view, judged):
    trained = train(
        agent, world.bars, world.features, until=world.until, seed=3, settings=world.limits
    )
    model, proposal = trained.model, world.proposal_of(fraction=0.01)
    found = judged(model, proposal)
    name, output = LEARNED[agent]
    told = re.search(rf"The learned {name} is driven by (.*)\.$", found.rationale).group(1)
    drivers = {key: value for key, value in found.measures.items() if key.startswith("driver_")}
    assert told == ", ".join(f"{WORDS[key[7:]]} {value:+.3f}" for key, value in drivers.items())
    assert len(drivers) == 3
    # By finite differences: the largest driver's effect is its gradient times its distance.
    inputs = model.inputs_of(Case(view, proposal, world.until, world.limits).features("AAA"))
    place = model.specification.inputs.index(next(iter(drivers))[7:])
    step = 1e-3 * model.network.input_scale.numpy()[place]
    sides = np.stack([inputs, inputs])
    sides[:, place] += [-step, step]
    low, high = model.predict(sides)[:, OUTPUTS[agent].index(output)]
    distance = inputs[place] - model.network.input_mean.numpy()[place]
    slope = (high - low) / (2 * step)
    assert drivers[f"driver_{model.specification.inputs[place]}"] == pytest.approx(
        slope * distance, rel=0.05, abs=2e-3
    )


@pytest.mark.parametrize("agent", LEARNED)
def test_a_classic_policy_is_its_own_formula(agent, classics, world, judged):
    found = judged(classics[agent].model, world.proposal_of(fraction=0.01))
    assert "learned" not in found.rationale
    assert not any(name.startswith("driver_") for name in found.measures)


def test_the_analyst_tells_what_drives_its_odds(classics, world, judged):
    found = judged(classics[AgentId.MARKET_ANALYST].model, world.proposal_of())
    assert "driven by" in found.rationale
    assert sum(name.startswith("driver_") for name in found.measures) == 3


def test_every_feature_has_words_of_its_own_that_are_no_column_name():
    assert set(WORDS) == set(FEATURE_NAMES)
    assert len(set(WORDS.values())) == len(WORDS)
    assert not any("_" in words for words in WORDS.values())
