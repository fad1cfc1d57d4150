"""The judge of the fault runs sees what it is there to see."""

from adapters.ledger import MemoryLedger
from consensus.audit import read_log, verify
from domain.ports.ledger import Commit, Head, Log
from tests.builders import tick


async def test_a_log_that_was_cut_is_found():
    ledger = MemoryLedger()
    lease = await ledger.acquire(Log.DECISIONS, 0)
    events = (tick(1), tick(2), tick(3))
    await ledger.commit(lease, Commit(expected_sequence=0, events=events))
    entries = [entry async for entry in read_log(ledger, Log.DECISIONS)]
    last = entries[-1]
    known = Head(log=Log.DECISIONS, partition=0, sequence=3, hash=last.hash)
    assert verify(entries, [known]).sound
    (finding,) = verify(entries[:-1], [known]).findings
    assert (finding.sequence, finding.fault) == (3, "truncated")
