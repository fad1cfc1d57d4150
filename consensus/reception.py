"""Messages off the bus, decoded; what no decoder takes becomes a dead letter."""

from collections import Counter
from collections.abc import Callable

from consensus.handler import dead_letter
from consensus.intake import Intake
from consensus.work import Work
from domain.errors import MessageRefused
from domain.market import MarketData, Tick
from domain.messages import Message, decode
from domain.metrics import Metric
from domain.ports.bus import Delivery
from domain.ports.metrics import Metrics
from domain.refusals import Refusal
from domain.streams import Stream
from domain.voting import ConsensusResult, TradingProposal, Vote

#: What nearly every message of a stream is; it decodes the quicker for it.
_CARRIED: dict[Stream, type[Message]] = {
    Stream.MARKET: MarketData,
    Stream.PROPOSALS: TradingProposal,
    Stream.VOTES: Vote,
    Stream.TIME: Tick,
    Stream.DECISIONS: ConsensusResult,
}
Attribute = Callable[[Delivery, Refusal], Message | None]


class Reception:
    """Reads for one processor.

    Parameters
    ----------
    maximum_bytes
        Longest message that is decoded.
    attribute
        Tells what the handler is to hear of a delivery that no decoder takes, beside its letter.
    """

    def __init__(
        self,
        intake: Intake,
        metrics: Metrics,
        *,
        group: str,
        maximum_bytes: int,
        attribute: Attribute,
    ) -> None:
        self._intake = intake
        self._metrics = metrics
        self._group = group
        self._most = maximum_bytes
        self._attribute = attribute

    async def next(self, wait_ms: int | None = None) -> Work:
        """Return what is to be handled next, as work without effects (see `Intake.next`)."""
        deliveries, known = await self._intake.next(wait_ms)
        work = Work(deliveries=deliveries, known=known)
        for stream, count in Counter(d.stream for d in deliveries).items():
            self._metrics.count(Metric.MESSAGES_CONSUMED, count, group=self._group, stream=stream)
        for delivery in deliveries:
            try:
                likely = _CARRIED.get(delivery.stream)
                message = decode(delivery.data, likely, maximum_bytes=self._most)
                work.batch.append((delivery, message))
            except MessageRefused as refusal:
                work.letters.append(dead_letter(delivery, refusal.reason, refusal.what))
                told = self._attribute(delivery, refusal.reason)
                work.batch += [(delivery, told)] if told is not None else []
        return work


def to_nobody(delivery: Delivery, reason: Refusal) -> None:
    """Let the handler hear nothing of what can't be decoded."""
