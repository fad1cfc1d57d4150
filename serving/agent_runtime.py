"""One agent's life inside its service: model, history, streams, and whether it is ready."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
import structlog

from adapters.bus import open_bus
from adapters.clock import open_clock
from adapters.health import health_app
from adapters.keys import sealing
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from adapters.profile import connected
from adapters.time_series import open_time_series
from domain.errors import ModelRefused, QuorumError
from domain.messages import Message
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.ports.model_source import DeployedModel, ModelSource
from domain.ports.time_series import Table
from domain.producers import Producer
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId, TradingProposal, Vote
from serving.model_source import LocalModelSource
from serving.stream_worker import StreamWorker

if TYPE_CHECKING:  # importing an agent imports torch, which waits until the service starts
    from agents.base import BaseAgent

_log = structlog.get_logger(__name__)
_RESTART_SECONDS = 2.0
_LAG_SECONDS = 5.0

#: What builds an agent's view, read from the start at every start.
_FOLLOWED = (Stream.MARKET, Stream.NEWS, Stream.PORTFOLIO)


class NotReady(QuorumError):
    """The service is alive but can't vote yet, or not now."""


class AgentRuntime:
    """Runs one agent; the service's endpoints and the bus share it.

    What fails unexpectedly is logged and begun again with a new agent, whose state is rebuilt
    from history and the streams, as at any start.

    Parameters
    ----------
    agent_id
        Whose.
    settings
        As read from the environment.
    """

    def __init__(self, agent_id: AgentId, settings: Settings) -> None:
        self.agent_id = agent_id
        self.metrics = PrometheusMetrics()
        self.health = health_app(self.metrics, self.problems, self.details)
        self._settings = settings
        self._source = LocalModelSource(
            DeployedModels.of(settings), agent_id, trial=self.trial, metrics=self.metrics
        )
        self._agent: BaseAgent | None = None
        self._worker: StreamWorker | None = None
        self._stage = "It is starting."
        self._task: asyncio.Task[None] | None = None

    def trial(self, deployed: DeployedModel) -> None:
        """Load a model as the agent would; raises `ModelRefused` for one it would not serve."""
        from agents.model_files import load  # noqa: PLC0415 - imports torch

        load(deployed.folder, self.agent_id)

    def agent(
        self, bus: MessageBus, source: ModelSource, metrics: Metrics, clock: Clock
    ) -> "BaseAgent":
        """Return the agent, wired to its ports."""
        from agents.build import build_agent  # noqa: PLC0415 - imports torch

        store = open_time_series(self._settings)
        return build_agent(self.agent_id, bus, source, metrics, clock, self._settings, store)

    def start(self) -> None:
        """Begin, in the background."""
        self._task = asyncio.create_task(self._keep_running(), name=f"agent:{self.agent_id}")

    async def stop(self) -> None:
        """End what `start` began."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def problems(self) -> list[str]:
        """Return why it is not ready; empty when it votes over HTTP and on the bus."""
        trouble = self._worker.trouble if self._worker else ""
        return [what for what in (self._stage, trouble) if what]

    def details(self) -> Mapping[str, object]:
        """Return what ``/readyz`` tells beside the problems."""
        return {
            "agent": self.agent_id,
            "model": self._agent.model_version.label if self._agent else "",
            "fallback": self._source.fallback,
        }

    async def vote(self, proposal: TradingProposal) -> Vote:
        """Return the agent's vote; nothing is published.

        Raises
        ------
        NotReady
            While the agent is starting.
        """
        return await self._ready().vote_on_decision(proposal)

    def version(self) -> Mapping[str, object]:
        """Return which model votes: what the agent has loaded, not what it was told to load.

        Raises
        ------
        NotReady
            While the agent is starting.
        """
        version = self._ready().model_version
        return {
            "agent": self.agent_id,
            "version": version.version,
            "label": version.label,
            "weights_sha256": version.model_artifacts.get("model.safetensors", ""),
            "data_version": version.data_version,
            "code_version": version.code_version,
            "fallback": self._source.fallback,
        }

    def _ready(self) -> "BaseAgent":
        if self._agent is None:
            raise NotReady(
                f"The {self.agent_id} does not vote yet. {self._stage}",
                next_step="Ask again when /readyz answers 200.",
            )
        return self._agent

    async def _keep_running(self) -> None:
        while True:
            try:
                await self._run()
            except Exception as fault:  # noqa: BLE001 - whatever it was, the agent begins again
                _log.exception("agent failed; it begins again")
                self._stage = f"It failed and begins again: {fault}"
            self._agent, self._worker = None, None
            await asyncio.sleep(_RESTART_SECONDS)

    async def _run(self) -> None:
        self._stage = "It is connecting to the bus."
        async with _bus(self._settings, self.agent_id, self.metrics) as bus:
            await self._model()
            agent = await asyncio.to_thread(
                self.agent, bus, self._source, self.metrics, open_clock(self._settings)
            )
            self._stage = "It is warming up from history."
            agent.warm_up(*await asyncio.to_thread(_history, self._settings))
            self._worker = worker = StreamWorker(bus, self.metrics)
            async with asyncio.TaskGroup() as tasks:
                self._stage = "It is reading what the streams hold."
                tasks.create_task(self._watch_model(agent))
                tasks.create_task(self._keep_experiences(agent))
                await self._follow(tasks, worker, agent)
                self._consume(tasks, worker, agent)
                self._agent, self._stage = agent, ""
                _log.info("agent votes", model=agent.model_version.label)

    async def _model(self) -> None:
        """Wait until a model is deployed that can be served."""
        while True:
            try:
                await asyncio.to_thread(self._source.current, self.agent_id)
            except ModelRefused as problem:
                if self._stage != problem.what:
                    _log.warning("no model to serve", exc_info=problem)
                self._stage = problem.what
                await asyncio.sleep(self._settings.serving.model_poll_seconds)
            else:
                return

    async def _watch_model(self, agent: "BaseAgent") -> None:
        """Have the agent take another model up as soon as it is deployed, votes or no votes."""
        while True:
            await asyncio.sleep(self._settings.serving.model_poll_seconds)
            if await asyncio.to_thread(self._source.refresh):
                agent.adopt_current_model()
                _log.info("another model votes", model=agent.model_version.label)

    async def _keep_experiences(self, agent: "BaseAgent") -> None:
        """Have what the agent lived through written from time to time, and at the end."""
        try:
            while True:
                await asyncio.sleep(self._settings.serving.experience_write_seconds)
                await self._write_experiences(agent)
        finally:
            await self._write_experiences(agent)

    async def _write_experiences(self, agent: "BaseAgent") -> None:
        try:
            await agent.write_experiences()
        except Exception as fault:  # noqa: BLE001 - they go on waiting; votes must go on
            _log.warning("experiences not written", exc_info=fault)
            self.metrics.count(Metric.RETRIES, operation="experiences")

    async def _follow(
        self, tasks: asyncio.TaskGroup, worker: StreamWorker, agent: "BaseAgent"
    ) -> None:
        """Follow what the view is made of; returns when the view holds what stood there."""
        caught_up: list[asyncio.Event] = []
        for stream in _FOLLOWED:
            for partition in range(self._settings.partitions):
                here = asyncio.Event()
                caught_up.append(here)
                handle = partial(_take_in, agent, here)
                tasks.create_task(worker.follow(stream, partition, handle, here))
        for event in caught_up:
            await event.wait()

    def _consume(self, tasks: asyncio.TaskGroup, worker: StreamWorker, agent: "BaseAgent") -> None:
        votes, learning = f"agent.{self.agent_id}", f"experience.{self.agent_id}"
        work = [(votes, Stream.PROPOSALS), (learning, Stream.EXPERIENCES)]
        if self.agent_id is AgentId.MARKET_ANALYST:
            work.append((votes, Stream.MARKET))
        partitions = range(self._settings.partitions)
        for group, stream in work:
            sources = [(stream, partition) for partition in partitions]
            tasks.create_task(worker.consume(group, self.agent_id, sources, agent.process_message))
        tasks.create_task(
            _observe_lag(worker, [(g, s, partition) for g, s in work for partition in partitions])
        )


async def _take_in(agent: "BaseAgent", caught_up: asyncio.Event, message: Message) -> None:
    """Take a message in; what it means for votes is worked out once no backlog waits behind it."""
    await agent.observe(message)
    if caught_up.is_set():
        agent.prepare(message)


async def _observe_lag(worker: StreamWorker, groups: list[tuple[str, Stream, int]]) -> None:
    while True:
        await worker.observe_lag(groups)
        await asyncio.sleep(_LAG_SECONDS)


@asynccontextmanager
async def _bus(
    settings: Settings, agent_id: AgentId, metrics: Metrics
) -> AsyncIterator[MessageBus]:
    """Open the bus; in the embedded profile the server is started, or adopted, beside the loop."""
    connection = connected(settings, servers=["valkey"], producer=Producer(agent_id))
    filled = await asyncio.to_thread(connection.__enter__)
    try:
        bus = open_bus(filled, metrics, encode=sealing(filled, Producer(agent_id)))
        try:
            yield bus
        finally:
            await bus.close()
    finally:
        await asyncio.to_thread(connection.__exit__, None, None, None)


def _history(settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return stored bars and headlines up to the setting's instant."""
    store = open_time_series(settings)
    until = settings.serving.history_until
    return store.read(Table.BARS, end=until), store.read(Table.NEWS, end=until)
