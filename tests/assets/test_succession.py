"""The alias is decided once, and what is deployed follows it."""

import pytest

from assets.ab_testing import decide
from assets.records import Comparison
from assets.registration import challenge, ensure_champion
from assets.succession import (
    Mover,
    disagreement,
    life_of,
    move,
    promote,
    reconcile,
    refuse,
)
from domain.models import Alias, DeploymentStatus
from domain.settings import Settings
from domain.voting import AgentId
from evaluation.sequential import SequentialVerdict, Verdict

AGENT = AgentId.EXECUTION
BY = Mover("gate", "better", "0" * 64)


@pytest.fixture
def policy(tmp_path):
    """Settings whose validated models go live at once."""
    return Settings(home=tmp_path)


def alias(registry, name: Alias) -> int | None:
    found = registry.version(AGENT, name)
    return None if found is None else found.version


def statuses(registry) -> list[str]:
    return [v.deployment_status.value for v in registry.versions(AGENT)]


def test_the_classic_policy_becomes_version_one_and_champion(registry, deployed, model):
    first = ensure_champion(registry, deployed, model("classic"))
    assert first.version == 1
    assert alias(registry, Alias.CHAMPION) == 1
    assert deployed.current(AGENT).version.label == first.label
    assert statuses(registry) == ["LIVE"]
    assert ensure_champion(registry, deployed, model("another classic")).version == 1
    assert len(registry.versions(AGENT)) == 1


def test_an_accepted_challenger_takes_over_and_the_old_one_is_kept(
    registry, deployed, model, verdict, policy
):
    old = ensure_champion(registry, deployed, model("classic"))
    record = challenge(registry, model("trained"), old, verdict(accepted=True), policy).value
    assert alias(registry, Alias.CHALLENGER) == record.version == 2
    candidate = registry.version(AGENT, 2)
    found = promote(registry, deployed, candidate, expected=1, by=BY)
    assert (found.promoted, found.champion, found.previous) == (True, candidate.label, old.label)
    assert [alias(registry, a) for a in (Alias.CHAMPION, Alias.PREVIOUS, Alias.CHALLENGER)] == [
        2,
        1,
        None,
    ]
    assert deployed.current(AGENT).version.version == 2
    assert deployed.current(AGENT, Alias.PREVIOUS).version.version == 1
    assert statuses(registry) == ["RETIRED", "LIVE"]
    assert disagreement(registry, deployed, AGENT) == ""


def test_a_refused_challenger_leaves_the_champion(registry, deployed, model, verdict, policy):
    old = ensure_champion(registry, deployed, model("classic"))
    challenge(registry, model("trained"), old, verdict(accepted=False), policy)
    found = refuse(registry, deployed, registry.version(AGENT, 2), BY._replace(reason="not better"))
    assert (found.promoted, found.champion, found.reason) == (False, old.label, "not better")
    assert alias(registry, Alias.CHALLENGER) is None
    assert statuses(registry) == ["LIVE", "ABORTED"]


def test_the_slower_of_two_promotions_changes_nothing(registry, deployed, model, verdict, policy):
    old = ensure_champion(registry, deployed, model("classic"))
    for name in ("one", "two"):
        challenge(registry, model(name), old, verdict(accepted=True), policy)
    fast, slow = (registry.version(AGENT, number) for number in (2, 3))
    assert promote(registry, deployed, fast, expected=1, by=BY).promoted
    found = promote(registry, deployed, slow, expected=1, by=BY)
    assert not found.promoted
    assert found.reason.startswith(f"{fast.label} was faster")
    assert alias(registry, Alias.CHAMPION) == 2
    assert deployed.current(AGENT).version.version == 2


def test_a_promotion_cut_off_after_the_alias_is_completed_by_the_next_look(
    registry, deployed, model, verdict, policy
):
    old = ensure_champion(registry, deployed, model("classic"))
    challenge(registry, model("trained"), old, verdict(accepted=True), policy)
    move(registry, registry.version(AGENT, 2), DeploymentStatus.LIVE, BY, life_of(registry, AGENT))
    assert "execution@2" in disagreement(registry, deployed, AGENT)
    reconcile(registry, deployed, AGENT)
    assert disagreement(registry, deployed, AGENT) == ""


def test_files_that_were_altered_where_they_are_served_are_noticed(registry, deployed, model):
    ensure_champion(registry, deployed, model("classic"))
    weights = deployed.current(AGENT).folder / "model.safetensors"
    weights.chmod(0o644)
    weights.write_text("other weights")
    assert "altered" in disagreement(registry, deployed, AGENT)


def compared(verdict: str) -> Comparison:
    return Comparison(
        agent=AGENT,
        challenger="c",
        champion="o",
        measure="reward",
        verdict=SequentialVerdict(
            verdict=Verdict(verdict),
            reason=f"it says {verdict}",
            observations=50,
            stopped_at=50,
            mean=0.0,
            lower=None,
            upper=None,
            alpha=0.05,
        ),
        instants=(),
        differences=(),
        proposals=60,
        purged=5,
    )


def test_a_rollout_needs_both_the_gate_and_the_comparison(
    registry, deployed, model, verdict, policy
):
    old = ensure_champion(registry, deployed, model("classic"))
    outcomes = {}
    for number, (accepted, says) in enumerate(
        [(False, "promote"), (True, "refuse"), (True, "inconclusive"), (True, "promote")], start=2
    ):
        folder = model(f"candidate {number}")
        record = challenge(registry, folder, old, verdict(accepted=accepted), policy).value
        candidate = registry.version(AGENT, number)
        found = decide(registry, deployed, candidate, record, compared(says))
        outcomes[accepted, says] = (found.promoted, statuses(registry)[-1])
    assert outcomes == {
        (False, "promote"): (False, "ABORTED"),
        (True, "refuse"): (False, "ABORTED"),
        (True, "inconclusive"): (False, "VALIDATED"),
        (True, "promote"): (True, "LIVE"),
    }


def test_a_model_that_is_champion_already_is_not_promoted_again(
    registry, deployed, model, verdict, policy
):
    folder = model("classic")
    champion = ensure_champion(registry, deployed, folder)
    record = challenge(registry, folder, champion, verdict(accepted=True), policy).value
    assert record.version == record.champion
    found = decide(registry, deployed, champion, record, compared("promote"))
    assert not found.promoted
    assert registry.version(AGENT, 1).deployment_status is DeploymentStatus.LIVE
