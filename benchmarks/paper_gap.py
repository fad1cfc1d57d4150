"""A paper session through the live objects beside the backtest of its days, trade by trade.

Classic policies on seeded random walks, until at least 2,000 decisions are taken. Beside the
number of differences that nothing explains stands what may be there: none.
"""

import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Row, run
from orchestration.gap import measure_gap
from orchestration.paper import run_paper, stored_feed
from tests.agents.conftest import START, make_bars
from tests.orchestration.trading_home import settle

_SYMBOLS = tuple(f"S{number:02d}" for number in range(30))
_DAYS = 1_300
_FIRST = START + timedelta(days=560)


def measure() -> Sequence[Row]:
    with tempfile.TemporaryDirectory() as folder:
        settings = settle(Path(folder), make_bars(_SYMBOLS, _DAYS), _FIRST)
        feed = stored_feed(settings, _FIRST, None)
        began = time.process_time()
        session = run_paper(settings, feed)
        on_paper = time.process_time() - began
        began = time.process_time()
        gap = measure_gap(settings, session)
        held = time.process_time() - began
    bars = feed.bars.height
    unit = "bars/s a core"
    return [
        Row(figure="decisions", unit="", ours=gap.decisions, beside="needed", theirs=2_000),
        Row(figure="trades that differ", unit="", ours=len(gap.differences)),
        Row(figure="of them unexplained", unit="", ours=gap.unexplained, theirs=0),
        Row(figure="paper session", unit=unit, ours=bars / on_paper),
        Row(figure="its backtest and the comparison", unit=unit, ours=bars / held),
    ]


if __name__ == "__main__":
    run(measure)
