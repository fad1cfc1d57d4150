"""A backtest of what was served takes the live decisions, on whatever processor."""

import json
from datetime import timedelta

import pytest

from domain.market import MarketData
from tests.end_to_end.processes import quorum

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("instructions", ["the machine's own", "default"])
def test_a_backtest_leaves_the_log_of_the_live_replay(demo, record, instructions):
    """`default` is the plainest instruction set: sums come out in another order."""
    more = {} if instructions != "default" else {"ATEN_CPU_CAPABILITY": instructions}
    bars = [message for message in record.orders if isinstance(message, MarketData)]
    first, last = (bars[place].observed_at.date() for place in (0, -1))
    span = ("--start", f"{first}", "--end", f"{last + timedelta(days=1)}")
    run = quorum(demo.home, "backtest", "--json", *span, **more)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["bars"] == len(bars)
    assert found["decision_log_hash"] == demo.printed("Decision-log hash")
