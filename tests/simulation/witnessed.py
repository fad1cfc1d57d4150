"""The bus and the ledger in memory, with the witness looking on."""

from collections.abc import Sequence
from random import Random
from typing import Any

from adapters.bus.memory import MemoryBroker, MemoryBus
from adapters.bus.numbering import Position
from adapters.ledger.memory import MemoryLedger
from domain.ports.bus import Delivery
from domain.ports.ledger import Commit, Committed, Lease
from tests.simulation.invariants import Source, Witness


class WitnessedBroker(MemoryBroker):
    """A broker whose every append is seen."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    def append(self, source: Source, position: Position, data: bytes) -> None:
        """Append, then have it checked."""
        super().append(source, position, data)
        self._witness.appended(source, position, data)

    def lose_everything(self) -> None:
        """Lose everything, known to the witness."""
        super().lose_everything()
        self._witness.lost()


class WitnessedBus(MemoryBus):
    """A bus of which every acknowledgement is seen; `log` is that of the process which uses it."""

    def __init__(self, witness: Witness, log: str, broker: MemoryBroker, random: Random) -> None:
        super().__init__(broker)
        self._witness = witness
        self._log = log
        self._random = random

    async def consume(
        self, group: str, consumer: str, streams: Sequence[Source], **options: Any
    ) -> list[Delivery]:
        """Consume; streams stand in no order to each other, so any order must do."""
        shuffled = self._random.sample(streams, len(streams))
        return await super().consume(group, consumer, shuffled, **options)

    async def acknowledge(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """Have it checked, then acknowledge."""
        self._witness.acknowledged(self._log, deliveries)
        await super().acknowledge(group, deliveries)


class WitnessedLedger(MemoryLedger):
    """A ledger whose every commit is seen."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    async def commit(self, lease: Lease, commit: Commit) -> Committed:
        """Commit, then have it checked."""
        committed = await super().commit(lease, commit)
        place = lease.log, lease.partition
        new = await self.events(*place, after=committed.sequence - len(commit.events))
        self._witness.chained(place, new)
        self._witness.committed(lease, commit, committed)
        return committed
