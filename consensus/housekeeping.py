"""Streams kept in bounds, and how full they are shown; beside the processor that reads them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from domain.errors import EnvironmentProblem
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.metrics import Metrics
from domain.streams import NEEDED_BY, Stream

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 1.0


class Housekeeping:
    """Trims streams up to what the record has, and observes how far a group is behind.

    A group acknowledges what its transaction committed, so what every group of `NEEDED_BY` has
    finished is on record; nothing else is ever trimmed.

    Parameters
    ----------
    group
        Whose backlog is observed on `sources`.
    trims
        The streams that this process keeps in bounds: each stream has one such process.
    keep
        Newest messages of each partition that stay (setting ``bus.kept_messages``).
    """

    def __init__(
        self,
        bus: MessageBus,
        metrics: Metrics,
        *,
        group: str,
        sources: Sequence[tuple[Stream, int]],
        trims: Sequence[tuple[Stream, int]],
        keep: int,
    ) -> None:
        self._bus = bus
        self._metrics = metrics
        self._group = group
        self._sources = tuple(sources)
        self._trims = tuple(trims)
        self._keep = keep

    async def run(self) -> None:
        """Keep house until cancelled; a bus that is away is waited for."""
        while True:
            try:
                await self.observe()
                await self.trim()
            except EnvironmentProblem as problem:
                _log.warning("streams not looked after", problem=problem.what)
            await asyncio.sleep(_EVERY_SECONDS)

    async def observe(self) -> None:
        """Set the gauges of depth, pending and lag, each stream's partitions together."""
        waiting: Counter[Stream] = Counter()
        pending: Counter[Stream] = Counter()
        for stream, partition in self._sources:
            backlog = await self._bus.backlog(self._group, stream, partition)
            waiting[stream] += backlog.lag
            pending[stream] += backlog.pending
        for stream in waiting:
            labels = {"group": self._group, "stream": stream}
            self._metrics.gauge(Metric.STREAM_DEPTH, waiting[stream], **labels)
            self._metrics.gauge(Metric.STREAM_PENDING, pending[stream], **labels)
            self._metrics.gauge(Metric.STREAM_LAG, waiting[stream] + pending[stream], **labels)

    async def trim(self) -> None:
        """Forget what is on record of every group that needs it."""
        for stream, partition in self._trims:
            trimmed = await self._bus.trim(
                stream, partition, needed_by=NEEDED_BY.get(stream, ()), keep=self._keep
            )
            if trimmed:
                self._metrics.count(Metric.MESSAGES_TRIMMED, trimmed, stream=stream)
