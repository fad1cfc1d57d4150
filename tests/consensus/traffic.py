"""Traffic for properties: proposals, votes, ticks and verdicts in any order, some of them twice."""

from hypothesis import strategies as st

from domain.identity import derive_id
from tests.builders import AGENTS, proposal, tick, verdict, vote


@st.composite
def traffic(draw):
    names = ["a", "b", "c"]
    messages = [proposal(n, seconds=i) for i, n in enumerate(names)]
    messages += [
        vote(
            name,
            agent,
            score=draw(st.integers(60, 100)),
            seconds=draw(st.integers(-40, 40)),
            abstention=draw(st.sampled_from(["", "", "", "no data"])),
            veto=draw(st.sampled_from(["", "", "", "", "limit"])),
        )
        for name in names
        for agent in AGENTS
    ]
    messages += [tick(s) for s in draw(st.lists(st.integers(-5, 5000), max_size=4))]
    messages += [vote("nothing"), vote("a", "mallory")]
    messages += draw(st.lists(st.sampled_from(messages), max_size=5))
    for name in names:
        decision_id = derive_id("decision", derive_id("proposal", name))
        if draw(st.booleans()):
            messages.append(verdict(decision_id, approved=draw(st.booleans())))
    return draw(st.permutations(messages))
