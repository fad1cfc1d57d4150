"""A canary that does not get the share it was declared decides nothing, and a person is asked."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from assets import revoting
from assets.ab_testing import ab_tests, rollouts
from assets.registration import challenge, ensure_champion
from assets.succession import Mover, life_of, move, promote
from assets.traffic_split import traffic_splits
from domain.assignment import experiment_id, to_challenger
from domain.identity import derive_id
from domain.models import DeploymentStatus
from domain.ports.ledger import Log
from domain.settings import PromotionSettings, Settings
from domain.voting import (
    AgentId,
    ConsensusResult,
    CountedVote,
    IgnoredVote,
    Outcome,
    Thresholds,
)
from evaluation.sequential import compare
from tests.builders import proposal

AGENT = AgentId.EXECUTION
BY = Mover("rollout", "better", "0" * 64)
BETTER = revoting.Compared(compare(0.01 + np.random.default_rng(4).normal(0, 1e-3, 200)), (), ())


def decision(name, at, version, *, counted=True, agent=AGENT):
    made = proposal(name)
    said = {"agent_id": agent, "message_id": derive_id("vote", name), "model_version": version}
    rest = {"score": 80, "confidence_ppm": 1, "weight": Decimal(1), "rationale": "r"}
    return ConsensusResult(
        message_id=derive_id("decision", made.proposal_id),
        correlation_id=made.correlation_id,
        causation_id=made.message_id,
        occurred_at=at,
        proposal=made,
        outcome=Outcome.REJECT,
        reason="consensus",
        weighted_score=None,
        variance=None,
        participation=1,
        degraded=True,
        counted=(CountedVote(**said, **rest, risk_assessment={}),) if counted else (),
        ignored=() if counted else (IgnoredVote(**said, reason="abstained"),),
        rule_version="1",
        thresholds=Thresholds(),
    )


class Trial:
    """Version 2, validated, on the first rung of its trial against version 1."""

    def __init__(self, registry, deployed, model, verdict, settings):
        self.registry, self.deployed = registry, deployed
        self.champion = ensure_champion(registry, deployed, model("classic"))
        folder = model("trained")
        made = challenge(registry, folder, self.champion, verdict(accepted=True), settings)
        self.record = made.value
        self.candidate = registry.version(AGENT, 2)
        self.climb()

    def climb(self):
        promote(self.registry, self.deployed, self.candidate, expected=1, by=BY)

    def status(self):
        return life_of(self.registry, AGENT).of(2).status

    def since(self):
        return self.registry.moves(AGENT)[-1].occurred_at

    def decisions(self, count, per_cent, *, lost=1):
        """Return decisions on this rung; of those assigned to it, it votes on one of `lost`."""
        experiment, found, mine = experiment_id(AGENT, 2, 1), [], 0
        for i in range(count):
            name, at = f"{per_cent} {i}", self.since() + timedelta(microseconds=i)
            decision_id = derive_id("decision", proposal(name).proposal_id)
            assigned = to_challenger(experiment, decision_id, per_cent)
            mine += assigned
            votes = assigned and mine % lost == 0
            voter = self.candidate if votes else self.champion
            found.append(decision(name, at, voter.label))
        return found

    def splits(self, decisions):
        return traffic_splits(self.candidate, self.registry.moves(AGENT), decisions)


@pytest.fixture
def trial(registry, deployed, model, verdict, tmp_path):
    policy = PromotionSettings(trial=("CANARY_25", "CANARY_50"))
    settings = Settings(home=tmp_path, promotion=policy)
    return Trial(registry, deployed, model, verdict, settings)


def test_each_rung_is_judged_by_its_own_share_and_its_own_time(trial):
    cast = trial.decisions(300, 25)
    trial.climb()
    cast += trial.decisions(300, 50)
    before = trial.registry.moves(AGENT)[0].occurred_at - timedelta(days=1)
    early = [decision(f"early {i}", before, trial.candidate.label) for i in range(50)]
    quarter, half = trial.splits([*early, *reversed(cast)])
    assert [quarter.share, half.share] == [0.25, 0.5]
    assert [quarter.observations, half.observations] == [300, 300]
    assert quarter.to_challenger == pytest.approx(75, abs=25)
    assert half.to_challenger == pytest.approx(150, abs=35)
    assert [quarter.mismatch, half.mismatch] == [False, False]


def test_a_challenger_that_loses_half_of_its_votes_is_found(trial):
    [split] = trial.splits(trial.decisions(400, 25, lost=2))
    assert split.mismatch
    assert split.p_value < 0.001


def test_only_votes_of_the_agent_count_and_ignored_ones_too(trial):
    ours, at = trial.candidate.label, trial.since()
    [split] = trial.splits(
        [
            decision("counted", at, ours),
            decision("ignored", at, ours, counted=False),
            decision("none", at, ""),
            decision("another's", at, ours, agent=AgentId.RISK_MANAGER),
        ]
    )
    assert (split.observations, split.to_challenger) == (2, 2)


def test_a_trial_that_ended_does_not_speak_of_the_next(trial):
    cast = trial.decisions(400, 25, lost=2)
    for after in (DeploymentStatus.ABORTED, DeploymentStatus.VALIDATED):
        move(trial.registry, trial.candidate, after, BY, life_of(trial.registry, AGENT))
    assert trial.splits(cast) == ()


class Record:
    def __init__(self, decisions):
        self.decisions = decisions

    def messages(self, log):
        return self.decisions if log is Log.DECISIONS else []


@pytest.mark.parametrize(("lost", "after"), [(1, "CANARY_50"), (2, "CANARY_25")])
def test_a_mismatch_withholds_the_verdict_and_the_rollout_asks_a_person(
    trial, monkeypatch, lost, after
):
    monkeypatch.setattr(revoting, "market_view", lambda _: None)
    monkeypatch.setattr(revoting, "votes", lambda *_: [])
    monkeypatch.setattr(revoting, "compared", lambda *_, **__: BETTER)
    place = list(AgentId).index(AGENT)
    ports = {"registry": trial.registry, "deployed": trial.deployed}
    made = ab_tests[place](
        trial.record,
        live=Record(trial.decisions(400, 25, lost=lost)),
        store=None,
        settings=Settings(),
        **ports,
    )
    found = msgspec.json.decode(msgspec.json.encode(made.value), type=type(made.value))
    rolled = rollouts[place](trial.record, found, **ports)
    assert trial.status() == after
    if lost == 1:
        assert found.verdict.verdict.value == made.metadata["verdict"] == "promote"
        assert "fits the 25% declared" in made.metadata["split"]
        return
    assert made.metadata["verdict"] == "inconclusive"
    assert "does not fit the 25% declared" in made.metadata["split"]
    for reason in (found.verdict.reason, made.metadata["reason"], rolled.metadata["reason"]):
        assert "does not fit the 25% declared" in reason
        assert reason.endswith("a person has to look.")
    assert not rolled.value.promoted
