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
from tests.faults.persons import Answering, register
from tests.faults.plane import PROCESSES, READERS, SERVERS, Plane, plane
from tests.faults.verdict import answers_kept, examine, projections_equal, settle

KILLS = int(os.environ.get("FAULTS_KILLS", "11"))
SEED = int(os.environ.get("FAULTS_SEED", "7"))
_RATE = 30.0
_LONGEST_PAUSE = 1.5
_LET_COME_BACK = 0.7

pytestmark = pytest.mark.timeout(300 + 15 * KILLS)


@pytest.fixture
def running():
    with plane() as made:
        made.start(*PROCESSES, *READERS)
        made.wait()
        yield made


def test_killed_anywhere_nothing_is_lost_doubled_or_out_of_order(running, capsys):
    report = killed_under_load(running, (*PROCESSES, *READERS, *SERVERS), KILLS)
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(report)}\n")


def killed_under_load(
    running: Plane,
    victims: Sequence[str],
    kills: int,
    *,
    rate: float = _RATE,
    longest_pause: float = _LONGEST_PAUSE,
) -> dict[str, object]:
    """Kill all of `victims` in a drawn order, and again, as they work; return the report."""
    chance = random.Random(SEED)
    load = Load(running.settings, f"kills {SEED}", rate=rate)
    persons = Answering(running, register(running), SEED)
    load.start()
    persons.start()
    began = time.monotonic()
    due: list[str] = []
    for _ in range(kills):
        time.sleep(chance.uniform(0, longest_pause))
        due = due or chance.sample(victims, len(victims))
        running.kill(due.pop())
        running.revive()
        if chance.random() < _LET_COME_BACK:
            running.wait()
    load.stop()
    running.wait()
    persons.stop()
    logs = settle(running, load)
    examine(logs, load.sent)
    answers = answers_kept(logs, persons)
    projected = projections_equal(running.settings)
    return {
        "seed": SEED,
        "kills": dict(sorted(running.kills.items())),
        "seconds": round(time.monotonic() - began),
        "proposals": len(load.sent),
        "decisions": len(logs.decided),
        "degraded": sum(d.degraded for d in logs.decided.values()),
        "orders log": len(logs.orders),
        "answers": answers,
        "answers acknowledged": len(persons.acknowledged),
        "projected events": projected,
        "lost": 0,
        "doubled": 0,
    }
