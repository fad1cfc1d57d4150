"""What a bus delivers again is handled once, and acknowledged only once it is on record."""

from adapters.bus.memory import MemoryBus
from consensus.intake import Intake, offsets_of
from domain.messages import encode
from domain.ports.bus import Delivery
from domain.streams import Stream
from tests.builders import vote


class RepeatingBus(MemoryBus):
    """Delivers everything at every call, as a server does that lost the acknowledgements."""

    async def consume(self, _group, _consumer, streams, **_) -> list[Delivery]:
        return [d for source in streams for d in await self.read(*source)]


async def test_what_comes_again_is_handled_once():
    bus = RepeatingBus()
    intake = Intake(bus, group="g", consumer="c", sources=[(Stream.VOTES, 0)], limit=10, wait_ms=0)
    await bus.publish_raw(Stream.VOTES, 0, encode(vote()))
    taken, known = await intake.next()
    assert (len(taken), known) == (1, [])
    assert await intake.next() == ([], [])  # still in hand
    intake.committed(offsets_of(taken))
    assert await intake.next() == ([], taken)
