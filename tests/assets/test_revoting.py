"""The comparison on recorded proposals: paired, matured, and on what each agent is for."""

from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from agents.assessment import Abstention, Assessment
from assets import revoting
from assets.revoting import Claim, claims, compared, compared_claims, lived_proposals
from domain.experience import Experience
from domain.identity import derive_id
from domain.settings import PromotionSettings, Settings
from domain.voting import MILLION, Action, AgentId, ConsensusResult, Outcome, Thresholds
from tests.builders import at, proposal, vote

DAY = 86_400
POLICY = PromotionSettings()


def decision(name: str, number: int) -> ConsensusResult:
    made = proposal(name, seconds=number * DAY)
    return ConsensusResult(
        message_id=derive_id("decision", made.proposal_id),
        correlation_id=made.correlation_id,
        causation_id=made.message_id,
        occurred_at=made.occurred_at,
        proposal=made,
        outcome=Outcome.REJECT,
        reason="consensus",
        weighted_score=None,
        variance=None,
        participation=4,
        degraded=False,
        counted=(),
        ignored=(),
        rule_version="1",
        thresholds=Thresholds(),
    )


def experience(made: ConsensusResult, reward: str) -> Experience:
    return Experience(
        message_id=derive_id("experience", made.decision_id),
        correlation_id=made.correlation_id,
        occurred_at=at(99 * DAY),
        decision_id=made.decision_id,
        symbol="IBM",
        state={},
        action=Action.BUY,
        outcome=made.outcome,
        reward=Decimal(reward),
        next_state={},
        horizon_days=5,
        agent_contributions={},
        scores={},
        confidences_ppm={},
    )


DECISIONS = [decision(f"p{i}", i) for i in range(60)]
#: Two of three proposals earn 1 %, the third loses as much.
REWARDS = ["-0.01" if i % 3 == 0 else "0.01" for i in range(60)]
LIVED = lived_proposals(
    reversed(DECISIONS), [experience(d, r) for d, r in zip(DECISIONS, REWARDS, strict=True)]
)


def cast(sure: int, agent: AgentId, *, foresight: bool) -> list:
    """Return votes of an agent that accepts all proposals, or just those that will pay."""
    accepted = [not foresight or r[0] != "-" for r in REWARDS]
    return [
        msgspec.structs.replace(
            vote(f"p{i}", agent, score=80 if accepts else 50, ppm=sure),
            risk_assessment={
                "chance_right": Decimal(sure if accepts else MILLION - sure) / MILLION
            },
        )
        for i, accepts in enumerate(accepted)
    ]


def test_only_matured_proposals_count_oldest_first():
    assert [lived.reward for lived in LIVED] == [float(r) for r in REWARDS]
    assert [lived.at for lived in LIVED] == sorted(lived.at for lived in LIVED)
    assert len(lived_proposals(DECISIONS, [experience(DECISIONS[3], "0.01")])) == 1


@pytest.mark.parametrize("agent", [AgentId.MARKET_ANALYST, AgentId.RISK_MANAGER])
def test_an_agent_that_foresees_is_promoted_and_its_mirror_refused(agent):
    blind = cast(660_000, agent, foresight=False)
    seeing = cast(990_000, agent, foresight=True)
    assert compared(agent, LIVED, blind, seeing, policy=POLICY).verdict.verdict.value == "promote"
    assert compared(agent, LIVED, seeing, blind, policy=POLICY).verdict.verdict.value == "refuse"


def test_the_same_votes_are_inconclusive():
    same = cast(660_000, AgentId.MARKET_ANALYST, foresight=False)
    found = compared(AgentId.MARKET_ANALYST, LIVED, same, same, policy=POLICY).verdict
    assert (found.verdict.value, found.mean) == ("inconclusive", 0.0)


def test_where_either_abstains_neither_counts():
    blind = cast(660_000, AgentId.MARKET_ANALYST, foresight=False)
    silent = [msgspec.structs.replace(v, abstention="too old") for v in blind]
    found = compared(
        AgentId.MARKET_ANALYST, LIVED, blind, [*silent[:20], *blind[20:]], policy=POLICY
    )
    assert found.verdict.observations == len(found.differences) == 40
    assert (
        compared(AgentId.MARKET_ANALYST, LIVED, blind, silent, policy=POLICY).verdict.observations
        == 0
    )


def test_the_policy_says_how_sure_when_and_how_much_better():
    blind = cast(660_000, AgentId.MARKET_ANALYST, foresight=False)
    seeing = cast(990_000, AgentId.MARKET_ANALYST, foresight=True)

    def judged(**policy: float):
        found = compared(
            AgentId.MARKET_ANALYST, LIVED, blind, seeing, policy=PromotionSettings(**policy)
        ).verdict
        return found.alpha, found.upper - found.lower, found.verdict.value

    usual, sure, soon = judged(), judged(alpha=0.001), judged(horizon=60)
    assert (usual[0], sure[0]) == (0.05, 0.001)
    assert soon[1] < usual[1] < sure[1]
    assert judged(smallest_effect=0.9)[2] == "refuse"


@pytest.fixture
def claiming(monkeypatch):
    """Let a model judge each proposal by `judge`, and claim 0.6 of a support of 1."""

    def claim(judge):
        specification = SimpleNamespace(confidence=lambda support: 0.6 * support, agent="execution")
        monkeypatch.setattr(
            revoting, "load", lambda *_: SimpleNamespace(specification=specification)
        )
        monkeypatch.setattr(revoting, "judge", lambda _, __, made, **___: judge(made))
        deployed = SimpleNamespace(folder=None, version=SimpleNamespace(agent_type="execution"))
        lived = [
            each._replace(
                experience=msgspec.structs.replace(
                    each.experience, realised={"entry_cost": Decimal("0.002")}
                )
            )
            for each in LIVED
        ]
        return claims(deployed, lived, None, Settings())

    return claim


def test_a_claim_is_what_the_knots_say_and_is_held_to_the_bound_of_its_judgement(claiming):
    dear = LIVED[0].proposal.proposal_id

    def judge(made):
        bound = 0.001 if made.proposal_id == dear else 0.003
        return Assessment(support=1.0, chance=0.9, rationale="", measures={}, bound=bound)

    found = claiming(judge)
    assert [claim.chance for claim in found] == [0.6] * len(LIVED)
    assert [claim.right for claim in found] == [False] + [True] * (len(LIVED) - 1)


def test_who_abstains_or_states_a_fact_claims_nothing(claiming):
    assert set(claiming(lambda _: Abstention("too old"))) == {None}
    fact = Assessment(support=1.0, chance=0.0, rationale="", measures={}, veto="exposure")
    assert set(claiming(lambda _: fact)) == {None}


def test_the_better_claims_are_promoted_and_only_pairs_count():
    rights = [r[0] != "-" for r in REWARDS]
    vague = [Claim(0.5, right) for right in rights]
    sharp = [Claim(0.9 if right else 0.1, right) for right in rights]
    said = compared_claims(LIVED, vague, sharp, horizon=100).verdict
    assert (said.verdict.value, said.mean) == ("promote", pytest.approx(0.25 - 0.01))
    assert compared_claims(LIVED, sharp, vague, horizon=100).verdict.verdict.value == "refuse"
    gaps = [None if i < 20 else claim for i, claim in enumerate(sharp)]
    assert compared_claims(LIVED, vague, gaps, horizon=100).verdict.observations == 40
    assert compared_claims(LIVED, vague, [None] * 60, horizon=100).verdict.observations == 0
