"""Which trial this machine runs: the one that its history of moves names."""

from asyncio import TaskGroup
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adapters.clock import open_clock
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.ports.model_source import ModelSource
from domain.settings import Settings
from domain.voting import AgentId
from serving.following import agent_bus, follow, history
from serving.stream_worker import StreamWorker
from serving.trial import Trial

if TYPE_CHECKING:  # importing an agent imports torch, which waits until the service starts
    from agents.base import BaseAgent


class Trials:
    """Begins and ends an agent's trials.

    Parameters
    ----------
    build
        Returns an agent, wired to its ports.
    """

    def __init__(
        self,
        agent_id: AgentId,
        models: DeployedModels,
        settings: Settings,
        metrics: Metrics,
        build: "Callable[[MessageBus, ModelSource, Metrics, Clock], BaseAgent]",
    ) -> None:
        self._agent_id = agent_id
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._build = build
        self.present: Trial | None = None

    def adopt(self) -> None:
        """Begin the trial that is named, and end the one that is not any more.

        Raises
        ------
        ModelRefused
            If the history or the version's files are not what was registered.
        """
        life, present = self._models.life(self._agent_id), self.present
        number, champion = life.on_trial, life.live
        if present is not None and (number, champion) != (present.version.version, present.against):
            self.end()
        if number is None or champion is None:
            return
        if self.present is not None:
            self.present.status = life.of(number).status
            return
        self.present = Trial(
            self._models.version(self._agent_id, number),
            self._alone,
            self._metrics,
            status=life.of(number).status,
            against=champion,
            votes=self._settings.home / "trials" / self._agent_id / f"{number}.jsonl",
            timeout_seconds=self._settings.promotion.late_vote_seconds,
        )

    def end(self) -> None:
        """End the present trial, if there is one."""
        present, self.present = self.present, None
        if present is not None:
            present.end()

    @asynccontextmanager
    async def _alone(self, source: ModelSource) -> "AsyncIterator[BaseAgent]":
        """Run an agent that follows the streams and publishes nothing."""
        metrics = PrometheusMetrics()  # its figures are not the champion's
        async with agent_bus(self._settings, self._agent_id, metrics) as bus:
            agent = self._build(bus, source, metrics, open_clock(self._settings))
            agent.warm_up(*history(self._settings))
            async with TaskGroup() as tasks:
                worker = StreamWorker(bus, metrics)
                partitions = self._settings.partitions
                following = await follow(tasks, worker, agent.observe, agent.prepare, partitions)
                yield agent
                for task in following:
                    task.cancel()
