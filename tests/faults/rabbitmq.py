"""SIGKILLs under load with RabbitMQ as the bus; for `make faults`, since its node starts slowly."""

import json
import sys

import pytest

from tests.faults.plane import PROCESSES, RABBITMQ, READERS, plane
from tests.faults.test_kills import KILLS, killed_under_load
from tests.rabbitmq_server import MISSING, installed, rabbitmq_running

pytestmark = [
    pytest.mark.timeout(600 + 15 * KILLS),
    pytest.mark.skipif(not installed(), reason=MISSING),
]
_SHARE = 4  # of the kills; each of the node's costs seconds


def test_killed_anywhere_on_rabbitmq_nothing_is_lost_doubled_or_out_of_order(capsys):
    with rabbitmq_running() as server, plane(rabbitmq=server) as running:
        running.start(*PROCESSES, *READERS)
        running.wait()
        server.settle()
        victims = (*PROCESSES, *READERS, RABBITMQ, "postgres")
        report = killed_under_load(running, victims, max(11, KILLS // _SHARE))
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(report)}\n")
