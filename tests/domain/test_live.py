from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LiveTradingRefused
from domain.live import PaperRun, passed_run, what_it_lacks
from domain.settings import VenueSettings

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = VenueSettings(paper_run_days=7, paper_run_trades=20)


def run(**changes):
    facts = {"session": "first", "decisions": 100, "trades": 20, "unexplained": 0}
    facts |= {"software": "1.0", "measured_at": AT - timedelta(days=7)}
    return PaperRun(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({}, ""),
        ({"unexplained": 1}, "1 differences unexplained"),
        ({"trades": 19}, "fewer than 20"),
        ({"software": "1.1"}, "other software"),
        ({"measured_at": AT - timedelta(days=7, seconds=1)}, "within 7 days"),
        ({"measured_at": AT + timedelta(seconds=1)}, "within 7 days"),
    ],
)
def test_each_thing_that_a_run_can_lack(changes, lacks):
    found = what_it_lacks(run(**changes), AT, "1.0", RULES)
    assert lacks in found
    assert bool(lacks) is bool(found)


def test_without_a_run_no_money():
    with pytest.raises(LiveTradingRefused, match="No paper run"):
        passed_run([], AT, "1.0", RULES)


RUNS = st.lists(
    st.builds(
        run,
        session=st.sampled_from(["a", "b"]),
        unexplained=st.integers(0, 1),
        trades=st.integers(19, 21),
        software=st.sampled_from(["1.0", "1.1"]),
        measured_at=st.integers(-9, 1).map(lambda days: AT + timedelta(days=days)),
    ),
    max_size=6,
)


@given(RUNS)
def test_the_newest_that_lacks_nothing_counts(runs):
    right = [each for each in runs if not what_it_lacks(each, AT, "1.0", RULES)]
    if not right:
        with pytest.raises(LiveTradingRefused):
            passed_run(runs, AT, "1.0", RULES)
    else:
        found = passed_run(runs, AT, "1.0", RULES)
        assert found in right
        assert found.measured_at == max(each.measured_at for each in right)
