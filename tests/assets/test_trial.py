"""A version on trial climbs by the record alone, rung by rung, and stops where a person is due."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from assets import trial
from assets.ab_testing import Compared
from assets.registration import challenge, ensure_champion
from assets.succession import life_of, promote
from assets.trial import climb, replayed_until, trial_of
from domain.model_life import PERSON, TRIAL
from domain.models import DeploymentStatus
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId
from evaluation.sample_ratio import sample_ratio
from evaluation.sequential import compare, planned_horizon
from tests.assets.test_succession import BY, compared
from tests.assets.test_traffic_split import decision

AGENT = AgentId.EXECUTION
S = DeploymentStatus
LADDER = ("SHADOW", "CANARY_5", "CANARY_25", "CANARY_50")
NOON = datetime(2012, 11, 5, 12, tzinfo=UTC)


@pytest.fixture
def on_trial(registry, deployed, model, verdict, tmp_path):
    """Return a function that brings version 2 onto the first of its rungs, and the version."""

    def begin(policy: PromotionSettings):
        old = ensure_champion(registry, deployed, model("classic"))
        settings = Settings(home=tmp_path, promotion=policy)
        challenge(registry, model("trained"), old, verdict(accepted=True), settings)
        candidate = registry.version(AGENT, 2)
        promote(registry, deployed, candidate, expected=1, by=BY)
        return candidate

    return begin


@pytest.fixture
def judge(registry, deployed):
    def go(candidate, policy, said="promote", decisions=20, found=None):
        return climb(
            registry, deployed, candidate, found or compared(said),
            decisions=decisions, policy=policy, occurred_at=NOON,
        )  # fmt: skip

    return go


def status(registry) -> DeploymentStatus:
    return life_of(registry, AGENT).of(2).status


def test_it_climbs_every_rung_to_life_and_each_move_says_who_why_and_on_what(
    registry, on_trial, judge
):
    policy = PromotionSettings(trial=LADDER)
    candidate = on_trial(policy)
    stood = [status(registry)]
    for said in ("inconclusive", "inconclusive", "inconclusive", "promote"):
        judge(candidate, policy, said)
        stood.append(status(registry))
    assert stood == [S.SHADOW, S.CANARY_5, S.CANARY_25, S.CANARY_50, S.LIVE]
    climbed = registry.moves(AGENT)[-4:]
    assert {(m.actor, len(m.evidence), m.occurred_at) for m in climbed} == {("trial", 64, NOON)}
    assert [m.reason for m in climbed][-1] == "it says promote"


@pytest.mark.parametrize("decisions", [0, 19])
def test_too_few_decisions_on_a_rung_leave_it_there(registry, on_trial, judge, decisions):
    policy = PromotionSettings(trial=LADDER)
    found = judge(on_trial(policy), policy, decisions=decisions)
    assert status(registry) is S.SHADOW
    assert f"{decisions} of 20 decisions" in found.reason
    assert not found.asks


def test_who_is_shown_to_be_worse_is_refused_on_any_rung(registry, on_trial, judge):
    policy = PromotionSettings(trial=LADDER)
    candidate = on_trial(policy)
    judge(candidate, policy)
    judge(candidate, policy, "refuse", decisions=0)
    assert status(registry) is S.ABORTED


def test_an_open_verdict_before_life_waits_and_asks_a_person(registry, on_trial, judge):
    policy = PromotionSettings(trial=("SHADOW",))
    found = judge(on_trial(policy), policy, "inconclusive")
    assert (status(registry), found.asks) == (S.SHADOW, True)
    assert "A person has to decide" in found.reason


def test_where_policy_asks_for_approval_only_a_person_ends_the_trial(
    registry, deployed, on_trial, judge
):
    policy = PromotionSettings(trial=("SHADOW",), approval=True)
    candidate = on_trial(policy)
    found = judge(candidate, policy)
    assert (status(registry), found.asks) == (S.SHADOW, True)
    person = BY._replace(actor=f"{PERSON}ada")
    assert promote(registry, deployed, candidate, expected=1, by=person).promoted


def test_a_split_that_is_not_as_declared_stops_it_and_asks_a_person(registry, on_trial, judge):
    policy = PromotionSettings(trial=LADDER)
    wrong = replace(compared("inconclusive"), splits=(sample_ratio([True] * 200, 0.05),))
    found = judge(on_trial(policy), policy, found=wrong)
    assert (status(registry), found.asks) == (S.SHADOW, True)


class Record:
    """What is on record: one decision an hour."""

    def __init__(self, first: datetime, hours: int):
        self._decisions = [
            decision(f"p{i}", first + timedelta(hours=i), "execution@1:x") for i in range(hours)
        ]

    def messages(self, _):
        return self._decisions


def test_a_rung_counts_the_decisions_since_it_was_reached(
    registry, deployed, on_trial, monkeypatch, tmp_path
):
    policy = PromotionSettings(trial=LADDER, decisions_per_rung=5)
    on_trial(policy)
    monkeypatch.setattr(trial, "is_update", lambda _: False)
    monkeypatch.setattr(trial, "known_until", lambda _: NOON)
    monkeypatch.setattr(
        trial, "comparison", lambda *_, **__: Compared(compared("inconclusive"), {})
    )
    settings = Settings(home=tmp_path, clock="event", promotion=policy)

    def look(hours: int):
        found, _ = trial_of(
            AGENT, live=Record(NOON, hours), store=None, settings=settings,
            registry=registry, deployed=deployed,
        )  # fmt: skip
        return found.reason.split(" decisions")[0], status(registry)

    assert look(4) == ("4 of 5", S.SHADOW)
    assert look(6)[1] is S.CANARY_5
    assert look(10) == ("4 of 5", S.CANARY_5)
    assert look(11)[1] is S.CANARY_25
    assert registry.moves(AGENT)[-1].occurred_at == replayed_until(
        Record(NOON, 11).messages(None), settings
    )


def test_without_a_version_on_trial_nothing_moves(registry, deployed, model, tmp_path):
    ensure_champion(registry, deployed, model("classic"))
    before = registry.moves(AGENT)
    found, comparison = trial_of(
        AGENT, live=Record(NOON, 0), store=None, settings=Settings(home=tmp_path),
        registry=registry, deployed=deployed,
    )  # fmt: skip
    assert (found.reason, comparison) == ("No version is on trial.", None)
    assert registry.moves(AGENT) == before


def planted(effect: float, seed: int, policy: PromotionSettings):
    """Return what is found after 1, 2 … paired differences with a mean of `effect` deviations."""
    drawn = np.random.default_rng(seed).normal(effect, 1.0, 2 * policy.horizon)

    def after(observations: int):
        found = compare(drawn[:observations], alpha=policy.alpha, horizon=policy.horizon, overlap=5)
        return replace(compared("inconclusive"), verdict=found)

    return after


@pytest.mark.parametrize(("effect", "ends"), [(0.7, S.LIVE), (0.0, S.CANARY_50), (-0.7, S.ABORTED)])
def test_planted_differences_decide_where_a_trial_ends(registry, on_trial, judge, effect, ends):
    horizon = planned_horizon(0.5)
    policy = PromotionSettings(trial=LADDER, horizon=horizon, decisions_per_rung=horizon // 8)
    candidate, after, since = on_trial(policy), planted(effect, 3, policy), 0
    for observations in range(5, 2 * horizon, 5):
        rung = status(registry)
        judge(candidate, policy, decisions=observations - since, found=after(observations))
        if status(registry) is not rung:
            since = observations
        if status(registry) not in TRIAL:
            break
    assert status(registry) is ends
    if ends is not S.CANARY_50:
        assert observations <= horizon
