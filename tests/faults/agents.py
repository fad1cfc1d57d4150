"""SIGKILLs of the agents' own processes with trained models; for `make faults`: they start slowly."""

import json
import sys
from collections import Counter, defaultdict

import pytest

from domain.messages import decode
from domain.streams import Stream
from domain.voting import AgentId, Vote
from tests.faults.plane import AGENTS, plane, until
from tests.faults.test_kills import KILLS, SEED, killed_under_load
from tests.faults.trained import install
from tests.faults.verdict import Logs, read

pytestmark = pytest.mark.timeout(600 + 15 * KILLS)
_SHARE = 8  # of the kills; a killed agent comes back after seconds
_VICTIMS = (*AGENTS, "consensus-a", "consensus-b", "gateway-a", "valkey")


def test_an_agent_that_is_killed_says_what_it_would_have_said(capsys):
    with plane() as running:
        install(running.own_settings(AGENTS[0]), seed=SEED)
        running.start("consensus-a", "consensus-b", "gateway-a", "gateway-b", *AGENTS)
        running.wait()
        until(lambda: all(map(running.ready, AGENTS)), "agents that vote", seconds=120)
        report = killed_under_load(
            running, _VICTIMS, max(8, KILLS // _SHARE), rate=5, longest_pause=8
        )
        report |= votes_kept(read(running.settings))
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(report)}\n")


def votes_kept(logs: Logs) -> dict[str, object]:
    """Assert that what an agent said again of a proposal is what it said; returns the figures."""
    said: dict[tuple[str, AgentId], list[Vote]] = defaultdict(list)
    for inputs in logs.inputs.values():
        for entry in inputs:
            if entry.stream == Stream.VOTES:
                vote = decode(entry.data)
                assert isinstance(vote, Vote)
                said[vote.proposal_id, vote.agent_id].append(vote)
    for votes in said.values():
        assert len({(v.message_id, v.score, v.confidence_ppm) for v in votes}) == 1, votes
    by_agent = Counter(agent for _, agent in said)
    assert set(by_agent) == set(AgentId), "an agent never voted"
    return {
        "voted": {str(agent): count for agent, count in sorted(by_agent.items())},
        "abstained": sum(votes[0].confidence_ppm == 0 for votes in said.values()),
        "said again": sum(len(votes) - 1 for votes in said.values()),
        "participation": dict(
            sorted(Counter(d.participation for d in logs.decided.values()).items())
        ),
    }
