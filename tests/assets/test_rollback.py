"""Promotion and rollback: alone or with the registry, cut off anywhere, one version is live."""

import os
import signal
from datetime import UTC, datetime
from functools import partial

import pytest

from adapters import agent_endpoint
from adapters.agent_endpoint import Served
from adapters.model_registry import deployed as deployed_module
from assets import succession
from assets.registration import ensure_champion, register
from assets.rollback import Rollback, roll_back
from assets.succession import (
    Mover,
    disagreement,
    life_of,
    move,
    promote,
    reconcile,
    roll_back_unserved,
    validated,
)
from domain.errors import IllegalMove, ModelRefused
from domain.models import Alias, DeploymentStatus
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId

AGENT = AgentId.EXECUTION
S = DeploymentStatus
POLICY = PromotionSettings()
BY = Mover("gate", "better", "0" * 64)
TOLD = {"actor": "guard", "reason": "breach", "evidence": "1" * 64,
        "occurred_at": datetime(2013, 1, 2, tzinfo=UTC)}  # fmt: skip


@pytest.fixture
def promoted(registry, deployed, model):
    """Return a function that registers, validates and promotes one version after another."""

    def go(*names: str, policy=POLICY):
        if registry.version(AGENT, Alias.CHAMPION) is None:
            ensure_champion(registry, deployed, model("classic"))
        for name in names:
            version = register(registry, model(name))
            champion = registry.version(AGENT, Alias.CHAMPION)
            validated(registry, version, BY, policy)
            promote(registry, deployed, version, expected=champion.version, by=BY)

    return go


def standing(registry, deployed):
    """Return (champion, previous) as registry and machine have them; they must agree."""
    told = []
    for alias in (Alias.CHAMPION, Alias.PREVIOUS):
        found, here = registry.version(AGENT, alias), deployed.current(AGENT, alias)
        assert (found and found.label) == (here and here.version.label)
        told.append(found and found.version)
    live = [v for v in registry.versions(AGENT) if v.deployment_status is S.LIVE]
    assert [v.version for v in live] == told[:1]
    return tuple(told)


def test_a_rollback_serves_the_version_before_and_says_who_and_why(registry, deployed, promoted):
    promoted("two", "three")
    found = roll_back(registry, deployed, AGENT, Rollback(actor="person:ada", reason="gaps"))
    assert standing(registry, deployed) == (2, 1)
    assert found.champion == registry.version(AGENT, 2).label
    last = registry.moves(AGENT)[-1]
    assert (last.actor, last.reason, last.after) == ("person:ada", "gaps", S.ROLLED_BACK)


def test_a_rollback_of_a_version_that_is_champion_no_more_does_nothing(
    registry, deployed, promoted
):
    promoted("two", "three")
    before = registry.moves(AGENT)
    found = roll_back(registry, deployed, AGENT, Rollback(version=2))
    assert "champion no more" in found.reason
    assert registry.moves(AGENT) == before


def test_the_first_version_can_t_be_rolled_back(registry, deployed, promoted):
    promoted()
    with pytest.raises(IllegalMove, match="no version to fall back to"):
        roll_back(registry, deployed, AGENT, Rollback())
    assert standing(registry, deployed) == (1, None)


def test_what_was_taken_back_alone_is_not_undone_by_the_registry(registry, deployed, promoted):
    promoted("two", "three")
    deployed.take_back(AGENT, 3, **TOLD)
    assert deployed.current(AGENT).version.version == 2
    assert registry.version(AGENT, Alias.CHAMPION).version == 3, "it has not heard of it"
    reconcile(registry, deployed, AGENT)
    assert standing(registry, deployed) == (2, 1)
    last = registry.moves(AGENT)[-1]
    assert (last.actor, last.reason, last.evidence) == ("guard", "breach", "1" * 64)
    before = registry.moves(AGENT)
    reconcile(registry, deployed, AGENT)
    assert registry.moves(AGENT) == before


def test_a_rollback_alone_and_a_promotion_elsewhere_meet(registry, deployed, promoted, model):
    promoted("two", "three")
    deployed.take_back(AGENT, 3, **TOLD)
    four = register(registry, model("four"))
    for after in (S.VALIDATED, S.LIVE):
        move(registry, four, after, BY, life_of(registry, AGENT))
    reconcile(registry, deployed, AGENT)
    assert standing(registry, deployed) == (4, 2)
    assert registry.version(AGENT, 3).deployment_status is S.ROLLED_BACK


def test_falling_twice_quarantines_for_good(registry, deployed, promoted):
    promoted("two")
    roll_back(registry, deployed, AGENT, Rollback())
    promoted("two")
    assert standing(registry, deployed) == (2, 1)
    roll_back(registry, deployed, AGENT, Rollback())
    assert registry.version(AGENT, 2).deployment_status is S.QUARANTINED
    promoted("two")
    assert standing(registry, deployed) == (1, None)


def test_with_a_trial_declared_each_promotion_is_one_rung(registry, deployed, promoted, model):
    policy = PromotionSettings(trial=("SHADOW", "CANARY_25"))
    promoted("two", policy=policy)
    two = registry.version(AGENT, 2)
    statuses = [two.deployment_status]
    for _ in range(2):
        found = promote(registry, deployed, two, expected=1, by=BY)
        statuses.append(registry.version(AGENT, 2).deployment_status)
    assert statuses == [S.SHADOW, S.CANARY_25, S.LIVE]
    assert found.promoted
    assert standing(registry, deployed) == (2, 1)


def test_where_a_person_has_to_approve_the_candidate_waits(registry, deployed, promoted):
    promoted("two", policy=PromotionSettings(approval=True))
    assert standing(registry, deployed) == (1, None)
    two = registry.version(AGENT, 2)
    found = promote(registry, deployed, two, expected=1, by=BY)
    assert "a person has to approve" in found.reason
    promote(registry, deployed, two, expected=1, by=BY._replace(actor="person:ada"))
    assert standing(registry, deployed) == (2, 1)


@pytest.fixture
def running(monkeypatch):
    """Have a service answer what the test says it serves."""

    def answer(label: str, weights: str):
        monkeypatch.setattr(agent_endpoint, "find_process", lambda *_: object())
        monkeypatch.setattr(agent_endpoint, "served", lambda *_: Served(label, weights))
        monkeypatch.setattr(succession, "_PATIENCE_SECONDS", 0)

    return answer


@pytest.mark.parametrize("wrong", ["version", "weights"])
def test_a_promotion_that_is_not_served_as_claimed_is_taken_back(
    registry, deployed, promoted, running, tmp_path, wrong
):
    promoted("two")
    settings = Settings(home=tmp_path, serving={"model_poll_seconds": 0.001})
    one, two = (registry.version(AGENT, number) for number in (1, 2))
    weights = two.model_artifacts["model.safetensors"]
    running(two.label, weights)
    assert disagreement(registry, deployed, AGENT, settings) == ""
    running(*((one.label, weights) if wrong == "version" else (two.label, "0" * 64)))
    problem = disagreement(registry, deployed, AGENT, settings)
    assert ("serves execution@1" if wrong == "version" else "other weights") in problem
    roll_back_unserved(registry, deployed, AGENT, problem)
    assert standing(registry, deployed) == (1, None)
    assert registry.moves(AGENT)[-1].reason == problem


def test_where_no_service_runs_the_pointer_is_what_is_asked(registry, deployed, promoted, tmp_path):
    promoted("two")
    assert disagreement(registry, deployed, AGENT, Settings(home=tmp_path)) == ""


class Killed(BaseException):
    """What ends a process here, which nothing may catch."""


def steps_of(monkeypatch, registry, act, dies_at: int) -> bool:
    """Run `act`, dying before or after the instrumented step of that number; whether it died."""
    count = 0

    def instrumented(function):
        def step(*arguments, **named):
            nonlocal count
            for moment in ("before", "after"):
                if count == dies_at:
                    raise Killed
                count += 1
                if moment == "before":
                    found = function(*arguments, **named)
            return found

        return step

    with monkeypatch.context() as patch:
        write = deployed_module.write_atomically
        patch.setattr(deployed_module, "write_atomically", instrumented(write))
        patch.setattr(registry, "record", instrumented(registry.record))
        patch.setattr(registry, "fetch", instrumented(registry.fetch))
        try:
            act()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("what", ["promotion", "rollback", "alone"])
def test_a_death_at_every_step_leaves_one_version_live_and_the_next_look_completes_it(
    monkeypatch, registry, deployed, promoted, model, what
):
    promoted("two")
    for dies_at in range(60):
        new = register(registry, model(f"{what} {dies_at}"))
        validated(registry, new, BY, POLICY)
        old = registry.version(AGENT, Alias.CHAMPION)
        if what != "promotion":
            promote(registry, deployed, new, expected=old.version, by=BY)
        act = {
            "promotion": partial(promote, registry, deployed, new, expected=old.version, by=BY),
            "rollback": partial(roll_back, registry, deployed, AGENT, Rollback()),
            "alone": partial(deployed.take_back, AGENT, new.version, **TOLD),
        }[what]
        died = steps_of(monkeypatch, registry, act, dies_at)
        served = deployed.current(AGENT).version.version
        assert served in {old.version, new.version}
        assert deployed.version(AGENT, served)
        reconcile(registry, deployed, AGENT)
        assert standing(registry, deployed)[0] in {old.version, new.version}
        if not died:
            break
    else:
        pytest.fail("it never came to an end")
    assert dies_at >= 6
    assert standing(registry, deployed)[0] == (new if what == "promotion" else old).version


def test_a_kill_at_every_step_of_a_rollback_leaves_one_version_live(
    monkeypatch, registry, deployed, promoted
):
    promoted("two", "three")
    write, died = deployed_module.write_atomically, []
    for dies_at in range(12):
        child = os.fork()
        if child == 0:  # a process of its own, which SIGKILL ends for good

            def killed(path, data, *, left=[dies_at], **more):  # noqa: B006 - counts its calls
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                write(path, data, **more)

            deployed_module.write_atomically = killed
            deployed.take_back(AGENT, 3, **TOLD)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        died.append(os.WIFSIGNALED(status))
        assert deployed.current(AGENT).version.version in {2, 3}
        with deployed.settled(AGENT) as life:
            assert deployed.current(AGENT).version.version == life.live
    assert died[0]
    assert not died[-1]
    assert deployed.current(AGENT).version.version == 2


def test_an_agent_without_champion_has_none_to_roll_back(registry, deployed):
    with pytest.raises(ModelRefused, match="no champion"):
        roll_back(registry, deployed, AGENT, Rollback())
