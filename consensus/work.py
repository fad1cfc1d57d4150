"""What a processor has in hand: read, decoded, handled, and not committed yet."""

from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec import Struct, field

from consensus.handler import Effects
from domain.messages import Message
from domain.ports.bus import Delivery
from domain.ports.ledger import DeadLetter


class Work(Struct):
    """Deliveries, and what became of them so far.

    Parameters
    ----------
    deliveries
        Taken off the bus, in order.
    known
        Committed before; only to be acknowledged.
    batch
        Those that could be decoded.
    letters
        Those that could not, and what no handler could handle.
    effects
        What handling caused, one for each batch that was handled.
    """

    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    known: list[Delivery] = field(default_factory=list[Delivery])
    batch: list[tuple[Delivery, Message]] = field(default_factory=list[tuple[Delivery, Message]])
    letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    effects: list[Effects] = field(default_factory=list[Effects])

    @property
    def is_due(self) -> bool:
        """Whether somebody waits for its commit; a snapshot goes with just what it includes."""
        return bool(self.letters) or any(
            e.events or e.outbox or e.dead_letters or e.snapshot is not None for e in self.effects
        )

    def is_full(self, limit: int) -> bool:
        """Whether it takes in no more: it is long, or ends with the state after all of it."""
        ends = bool(self.effects) and self.effects[-1].snapshot is not None
        return ends or len(self.deliveries) >= limit

    def add(self, arrived: "Work") -> None:
        """Take more in; the effects of handling it come later."""
        self.deliveries += arrived.deliveries
        self.batch += arrived.batch
        self.letters += arrived.letters

    def begin_again(self) -> Sequence[tuple[Delivery, Message]]:
        """Forget what handling caused, and return all that is to be handled again."""
        self.effects.clear()
        return self.batch

    def all_effects(self) -> Effects:
        """Return the effects as those of one batch."""
        if len(self.effects) == 1:
            return self.effects[0]
        parts = self.effects
        return Effects(
            inputs=tuple(chain.from_iterable(e.inputs for e in parts)),
            events=tuple(chain.from_iterable(e.events for e in parts)),
            outbox=tuple(chain.from_iterable(e.outbox for e in parts)),
            dead_letters=tuple(chain.from_iterable(e.dead_letters for e in parts)),
            ignored=tuple(chain.from_iterable(e.ignored for e in parts)),
            snapshot=parts[-1].snapshot if parts else None,
            reservations=tuple(chain.from_iterable(e.reservations for e in parts)),
        )

    def parts(self) -> Iterator["Work"]:
        """Yield each delivery as work of its own, nothing handled yet."""
        messages = {id(delivery): (delivery, message) for delivery, message in self.batch}
        letters = {(d.stream, d.partition, d.position): d for d in self.letters}
        for delivery in self.deliveries:
            found = messages.get(id(delivery))
            letter = letters.get((delivery.stream, delivery.partition, delivery.position))
            yield Work(
                deliveries=[delivery],
                batch=[found] if found else [],
                letters=[letter] if letter else [],
            )
