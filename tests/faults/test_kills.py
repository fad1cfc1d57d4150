"""SIGKILL of every process at seeded moments under load, on real servers.

`make faults` kills 200 times and more (FAULTS_KILLS); the suite a few.
"""

import json
import os
import random
import sys
import time
from collections.abc import Sequence

import pytest

from tests.faults.load import Load
from tests.faults.plane import PROCESSES, SERVERS, Plane, plane
from tests.faults.verdict import examine, projections_equal, settle

KILLS = int(os.environ.get("FAULTS_KILLS", "8"))
SEED = int(os.environ.get("FAULTS_SEED", "7"))
_RATE = 30.0
_LONGEST_PAUSE = 1.5
_LET_COME_BACK = 0.7

pytestmark = pytest.mark.timeout(300 + 15 * KILLS)


@pytest.fixture
def running():
    with plane() as made:
        made.start(*PROCESSES)
        made.wait()
        yield made


def test_killed_anywhere_nothing_is_lost_doubled_or_out_of_order(running, capsys):
    report = killed_under_load(running, (*PROCESSES, *PROCESSES, *SERVERS), KILLS)
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(report)}\n")


def killed_under_load(running: Plane, victims: Sequence[str], kills: int) -> dict[str, object]:
    """Kill one of `victims` after the other, examine what is on record, and return the report."""
    chance = random.Random(SEED)
    load = Load(running.settings, f"kills {SEED}", rate=_RATE)
    load.start()
    began = time.monotonic()
    for _ in range(kills):
        time.sleep(chance.uniform(0, _LONGEST_PAUSE))
        running.kill(chance.choice(victims))
        running.revive()
        if chance.random() < _LET_COME_BACK:
            running.wait()
    load.stop()
    running.wait()
    logs = settle(running, load)
    examine(logs, load.sent)
    projected = projections_equal(running.settings)
    return {
        "seed": SEED,
        "kills": dict(sorted(running.kills.items())),
        "seconds": round(time.monotonic() - began),
        "proposals": len(load.sent),
        "decisions": len(logs.decided),
        "degraded": sum(d.degraded for d in logs.decided.values()),
        "orders log": len(logs.orders),
        "projected events": projected,
        "lost": 0,
        "doubled": 0,
    }
