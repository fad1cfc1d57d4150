"""One agent's life inside its service: model, history, streams, and whether it is ready."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from adapters.clock import open_clock
from adapters.health import health_app
from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from domain.errors import ModelRefused, QuorumError
from domain.metrics import Metric
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.ports.model_source import DeployedModel, ModelSource
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId, TradingProposal, Vote
from serving.following import agent_bus, follow, history
from serving.model_source import LocalModelSource
from serving.stream_worker import Handle, StreamWorker
from serving.trial import NotVoting
from serving.trials import Trials
from serving.voting import Voting
from serving.watch import Watch

if TYPE_CHECKING:  # importing an agent imports torch, which waits until the service starts
    from agents.base import BaseAgent

_log = structlog.get_logger(__name__)
_RESTART_SECONDS = 2.0
_LAG_SECONDS = 5.0


class NotReady(QuorumError):
    """The service is alive but can't vote yet, or not now."""


class NotServed(QuorumError):
    """A version was asked for that this service does not serve."""


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
        self.token = settings.serving.token
        self.health = health_app(self.metrics, self.problems, self.details)
        self._settings = settings
        self._models = DeployedModels.of(settings)
        self._source = LocalModelSource(
            self._models, agent_id, trial=self.trial, metrics=self.metrics
        )
        self._agent: BaseAgent | None = None
        self._worker: StreamWorker | None = None
        self._trials = Trials(agent_id, self._models, settings, self.metrics, self.agent)
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
        self._trials.end()

    def problems(self) -> list[str]:
        """Return why it is not ready; empty when it votes over HTTP and on the bus."""
        trouble = self._worker.trouble if self._worker else ""
        return [what for what in (self._stage, trouble) if what]

    def details(self) -> Mapping[str, object]:
        """Return what ``/readyz`` tells beside the problems."""
        trial = self._trials.present
        return {
            "agent": self.agent_id,
            "model": self._agent.model_version.label if self._agent else "",
            "fallback": self._source.fallback,
            "trial": trial.version.label if trial else "",
            "rung": trial.status if trial and trial.ready else "",
        }

    async def vote(self, proposal: TradingProposal, version: int | None = None) -> Vote:
        """Return the agent's vote; nothing is published.

        Parameters
        ----------
        version
            Whose: the champion's by default, else the champion's or that of the version on trial.

        Raises
        ------
        NotReady
            While the agent, or the version on trial, does not vote.
        NotServed
            If the version is neither.
        """
        agent = self._ready()
        if version is None or version == agent.model_version.version:
            return await agent.vote_on_decision(proposal)
        trial = self._trials.present
        if trial is None or version != trial.version.version:
            raise NotServed(
                f"Version {version} of {self.agent_id} is not served here.",
                next_step="Ask /version which one is, or for the one on trial.",
            )
        try:
            return await trial.vote(proposal)
        except NotVoting as problem:
            raise NotReady(problem.what, next_step="Ask again in a moment.") from None

    async def explain(self, proposal: TradingProposal) -> tuple[Vote, Mapping[str, object]]:
        """Return the agent's vote, with each input of the model and what moved its outputs most.

        Raises
        ------
        NotReady
            While the agent is starting.
        """
        agent = self._ready()
        cast = await agent.vote_on_decision(proposal)
        return cast, await agent.drivers(proposal)

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
        async with agent_bus(self._settings, self.agent_id, self.metrics) as bus:
            await self._model()
            clock = open_clock(self._settings)
            agent = await asyncio.to_thread(self.agent, bus, self._source, self.metrics, clock)
            self._stage = "It is warming up from history."
            agent.warm_up(*await asyncio.to_thread(history, self._settings))
            self._worker = worker = StreamWorker(bus, self.metrics)
            async with asyncio.TaskGroup() as tasks:
                self._stage = "It is reading what the streams hold."
                voting = self._votes(agent, clock)
                tasks.create_task(self._watch_model(voting))
                tasks.create_task(self._keep_experiences(agent))
                partitions = self._settings.partitions
                await follow(tasks, worker, voting.observe, agent.prepare, partitions)
                voting.begun = True
                self._consume(tasks, worker, voting.act)
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

    def _votes(self, agent: "BaseAgent", clock: Clock) -> Voting:
        """Return what hands messages to the agent; a replay watches where it is told to.

        `clock` is the agent's: an event clock knows the time of what it was told of alone.
        """

        async def adopt() -> None:
            if await asyncio.to_thread(self._source.refresh):
                agent.adopt_current_model()
                _log.info("another model votes", model=agent.model_version.label)

        def watch() -> Watch:
            return Watch(agent.model_version, self._models, self.metrics, self._settings, clock.now)

        watched = self._settings.clock == "system" or self._settings.promotion.guard_replays
        return Voting(agent, adopt, watch if watched else None)

    async def _watch_model(self, voting: Voting) -> None:
        """Take another model up as soon as it is deployed, votes or no votes."""
        while True:
            await asyncio.sleep(self._settings.serving.model_poll_seconds)
            await voting.adopt()
            try:
                await asyncio.to_thread(self._trials.adopt)
            except QuorumError as problem:
                _log.warning("no trial can be begun", exc_info=problem)
            voting.trial = self._trials.present

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

    def _consume(self, tasks: asyncio.TaskGroup, worker: StreamWorker, act: Handle) -> None:
        votes, learning = f"agent.{self.agent_id}", f"experience.{self.agent_id}"
        work = [(votes, Stream.PROPOSALS), (learning, Stream.EXPERIENCES)]
        if self.agent_id is AgentId.MARKET_ANALYST:
            work.append((votes, Stream.MARKET))
        partitions = range(self._settings.partitions)
        for group, stream in work:
            sources = [(stream, partition) for partition in partitions]
            tasks.create_task(worker.consume(group, self.agent_id, sources, act))
        tasks.create_task(
            _observe_lag(worker, [(g, s, partition) for g, s in work for partition in partitions])
        )


async def _observe_lag(worker: StreamWorker, groups: list[tuple[str, Stream, int]]) -> None:
    while True:
        await worker.observe_lag(groups)
        await asyncio.sleep(_LAG_SECONDS)
