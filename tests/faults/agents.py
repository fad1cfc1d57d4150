"""SIGKILLs of the agents' own processes with trained models; for `make faults`: slow starters."""

import json
import sys
from collections import Counter, defaultdict

import pytest

from domain.messages import decode
from domain.streams import Stream
from domain.voting import AgentId, Vote
from tests.faults.plane import AGENTS, plane, until
from tests.faults.test_kills import KILLS, SEED, killed_under_load
from tests.faults.test_servers import query
from tests.faults.trained import install
from tests.faults.verdict import Logs, read

pytestmark = pytest.mark.timeout(600 + 15 * KILLS)
_SHARE = 8  # of the kills; a killed agent comes back after seconds
_VICTIMS = (*AGENTS, "consensus-a", "consensus-b", "gateway-a", "postgres")


def test_an_agent_that_is_killed_says_what_it_would_have_said(capsys):
    with plane() as running:
        install(running.own_settings(AGENTS[0]), seed=SEED)
        running.start("consensus-a", "consensus-b", "gateway-a", "gateway-b", *AGENTS)
        running.wait()
        until(lambda: all(map(running.ready, AGENTS)), "agents that vote", seconds=120)
        report = killed_under_load(
            running, _VICTIMS, max(8, KILLS // _SHARE), rate=5, longest_pause=8
        )
        until(lambda: all_voted(read(running.settings)), "a vote of each on each", seconds=180)
        report |= votes_kept(read(running.settings))
        ignored = query(running, "SELECT reason, count(*) FROM ledger.ignored GROUP BY reason")
        report["ignored"] = dict(ignored)
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(report)}\n")


def votes_by_agent(logs: Logs) -> dict[tuple[str, str], list[Vote]]:
    """Return (proposal, agent) → every vote of it that is on record, late ones too."""
    said: dict[tuple[str, str], list[Vote]] = defaultdict(list)
    for inputs in logs.inputs.values():
        for entry in inputs:
            if entry.stream == Stream.VOTES:
                vote = decode(entry.data)
                assert isinstance(vote, Vote)
                said[vote.proposal_id, vote.agent_id].append(vote)
    return said


def all_voted(logs: Logs) -> bool:
    """Whether every agent's vote on every proposal is on record: none was lost with its agent."""
    said = votes_by_agent(logs)
    return all((proposal, agent) in said for proposal in logs.decided for agent in AgentId)


def votes_kept(logs: Logs) -> dict[str, object]:
    """Assert that what an agent said again of a proposal is what it said; returns the figures."""
    said = votes_by_agent(logs)
    for votes in said.values():
        assert len({(v.message_id, v.score, v.confidence_ppm) for v in votes}) == 1, votes
    participation = Counter(d.participation for d in logs.decided.values())
    return {
        "votes": len(said),
        "abstained": sum(bool(votes[0].abstention) for votes in said.values()),
        "said again": sum(len(votes) - 1 for votes in said.values()),
        "participation": dict(sorted(participation.items())),
    }
