"""Final wealth of the classic portfolios on NYSE(O), through venue and ledger.

Beside the figures that `shared/data/SOURCES.md` and the literature give for the same table without
costs. It needs ``bench_olps_nyse_o.parquet`` (``QUORUM_TEST_DATA``).
"""

import os
import sys
from decimal import Decimal
from pathlib import Path

from benchmarks.measure import Row, run
from evaluation.price_relatives import final_wealth, load_relatives

_TABLE = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / "bench_olps_nyse_o.parquet"
#: Portfolio → wealth as published (uniform rebalanced: from the table itself), digits as printed.
PUBLISHED = {
    "uniform buy and hold": 14.50,
    "best asset": 54.14,
    "uniform constant rebalanced": 27.08,
    "best constant rebalanced": 250.60,
    "exponentiated gradient": 27.09,
    "passive aggressive mean reversion": 5.14e15,
}
#: 10 bps of commission and 5 bps of half spread.
_COST_BPS = Decimal(15)


def measure() -> list[Row]:
    if not _TABLE.exists():
        print(f"skipped: {_TABLE} is not there", file=sys.stderr)
        return []
    relatives = load_relatives(_TABLE)
    rows = [
        Row(
            figure=f"NYSE(O), {way}, no costs",
            unit="× start",
            ours=final_wealth(relatives, way),
            beside="published",
            theirs=printed,
            digits=5,
        )
        for way, printed in PUBLISHED.items()
    ]
    return [
        *rows,
        *(
            Row(
                figure=f"NYSE(O), {way}, {_COST_BPS} bps",
                unit="× start",
                ours=final_wealth(relatives, way, cost_bps=_COST_BPS),
                beside="without costs",
                theirs=row.ours,
                digits=5,
            )
            for way, row in zip(PUBLISHED, rows, strict=True)
        ),
    ]


if __name__ == "__main__":
    run(measure)
