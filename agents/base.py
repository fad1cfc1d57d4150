"""What all four specialists share: their view of the market, their model, and their votes."""

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime
from time import perf_counter

import polars as pl

from agents.assessment import Case
from agents.learning.experience_buffer import ExperienceBuffer
from agents.market_view import MarketView
from agents.model import Model
from agents.model_files import load
from agents.realised import RealisedByRegime
from agents.voting import vote
from domain.errors import ModelRefused
from domain.experience import Experience
from domain.market import FeedChanged, MarketData, NewsItem
from domain.messages import Message
from domain.metrics import Metric
from domain.models import ModelVersion
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.ports.model_source import ModelSource
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings
from domain.streams import Stream, partition_of
from domain.voting import AgentId, TradingProposal, Vote


class BaseAgent(ABC):
    """A specialist, built from ports.

    `observe` only takes messages in; `process_message` also acts on them and publishes what
    follows before it returns, so a message may be acknowledged afterwards. Both are idempotent.
    The time of what is published comes from the clock, which only the messages acted on move:
    how far the view happens to be ahead leaves no trace in the record.

    Raises
    ------
    domain.errors.ModelRefused
        From the constructor, if there is no model to serve.
    """

    def __init__(  # noqa: PLR0917 - an agent's ports
        self,
        bus: MessageBus,
        models: ModelSource,
        metrics: Metrics,
        clock: Clock,
        settings: Settings,
        store: TimeSeriesStore,
    ) -> None:
        self.bus = bus
        self.metrics = metrics
        self.clock = clock
        self.settings = settings
        self.view = MarketView()
        self.realised = RealisedByRegime(self.agent_id)
        self._experiences = ExperienceBuffer(store)
        self._models = models
        deployed = models.current(self.agent_id)
        self._serve(load(deployed.folder, self.agent_id), deployed.version)

    @property
    @abstractmethod
    def agent_id(self) -> AgentId:
        """Which of the four it is."""

    @property
    def model(self) -> Model:
        """The model that votes."""
        return self._model

    @property
    def model_version(self) -> ModelVersion:
        """The version of the model that votes: what is loaded, not what should be."""
        return self._version

    def warm_up(self, bars: pl.DataFrame, news: pl.DataFrame | None = None) -> None:
        """Take in history from the tables BARS and NEWS."""
        self.view.warm_up(bars, news)

    async def observe(self, message: Message) -> None:
        """Take in what the streams tell; nothing is published."""
        if isinstance(message, MarketData | NewsItem | FeedChanged):
            await self.view.update(message)

    def prepare(self, message: Message) -> None:
        """Do the work of a bar that was taken in; votes on it are the same without, only later."""
        if isinstance(message, MarketData):
            self.view.prepare(self._model, message.symbol)

    async def process_message(self, message: Message) -> None:
        """Act on a message: vote on a proposal, learn from an experience, else take it in."""
        self.clock.observe(message.occurred_at)
        match message:
            case TradingProposal():
                cast = await self.vote_on_decision(message)
                await self.publish(Stream.VOTES, message.symbol, cast)
            case Experience():
                await self.update_experience(message)
            case _:
                await self.observe(message)
                self.prepare(message)

    async def vote_on_decision(self, proposal: TradingProposal) -> Vote:
        """Return the vote on a proposal, once the view holds its bar.

        Where the bar doesn't come in time the vote is an abstention that says so.
        """
        self.clock.observe(proposal.occurred_at)
        self.realised.proposed(proposal)
        self.adopt_current_model()
        at = await self._bar_time(proposal)
        if at is None:
            self.metrics.count(Metric.INPUT_TIMEOUTS, agent=self.agent_id, input="bar")
        began = perf_counter()
        cast = vote(
            self._model,
            self._version.label,
            self.view,
            proposal,
            occurred_at=self.clock.now(),
            limits=self.settings.trading,
            serving=self.settings.serving,
        )
        self.metrics.observe(Metric.VOTE_SECONDS, perf_counter() - began, agent=self.agent_id)
        if at is not None:
            drift = self._model.drift(self.view.features(proposal.symbol, at) or {})
            self.metrics.gauge(Metric.INPUT_DRIFT, drift, agent=self.agent_id)
        kind = "abstention" if cast.abstention else "veto" if cast.veto else "vote"
        self.metrics.count(Metric.VOTES_CAST, agent=self.agent_id, kind=kind)
        if not cast.abstention:
            self.metrics.observe(Metric.VOTE_CONFIDENCE, cast.confidence, agent=self.agent_id)
        return cast

    async def update_experience(self, experience: Experience) -> None:
        """Take in a rewarded transition: for the table EXPERIENCES, and for the agent's record.

        `write_experiences` writes it. The agent's confidence is held against what came, in all and
        in the regime that the proposal told.
        """
        self._experiences.add(experience)
        for regime, realised in self.realised.add(experience).items():
            for metric, value in (
                (Metric.REALISED_BRIER, realised.brier),
                (Metric.REALISED_LOG_LOSS, realised.log_loss),
                (Metric.REALISED_CALIBRATION_ERROR, realised.calibration_error),
                (Metric.REALISED_HIT_RATE, realised.hit_rate),
            ):
                self.metrics.gauge(metric, value, agent=self.agent_id, regime=regime)

    async def write_experiences(self) -> str:
        """Write the experiences taken in since the last time; returns the table's version.

        Each is there once, however many agents lived through it; empty where none is new.
        """
        return await asyncio.to_thread(self._experiences.write)

    async def publish(self, stream: Stream, symbol: str, message: Message) -> None:
        """Put a message into the partition of its symbol."""
        await self.bus.publish(stream, partition_of(symbol, self.settings.partitions), message)

    async def case(self, proposal: TradingProposal) -> Case | None:
        """Return a proposal with what may be known of it; None where its bar doesn't come."""
        at = await self._bar_time(proposal)
        return None if at is None else Case(self.view, proposal, at, self.settings.trading)

    async def drivers(self, proposal: TradingProposal) -> dict[str, object]:
        """Return the model's inputs on a proposal, and those that move each of its outputs most.

        Both are empty where the agent votes without them: no bar, or an input is missing.
        """
        case = await self.case(proposal)
        features = None if case is None else case.features(proposal.symbol)
        inputs = None if features is None else self._model.inputs_of(features)
        if inputs is None:
            return {"inputs": {}, "drivers": {}}
        names = self._model.specification
        return {
            "inputs": dict(zip(names.inputs, inputs.tolist(), strict=True)),
            "drivers": {
                output: dict(self._model.drivers(inputs, place))
                for place, output in enumerate(names.outputs)
            },
        }

    async def _bar_time(self, proposal: TradingProposal) -> datetime | None:
        return await self.view.wait_for_bar(
            proposal.symbol, proposal.correlation_id, self.settings.serving.input_timeout_seconds
        )

    def adopt_current_model(self) -> None:
        """Load another model where one is deployed; a refused one leaves the present in place."""
        if not self._models.changed(self.agent_id, self._version.label):
            return
        try:
            deployed = self._models.current(self.agent_id)
            model = load(deployed.folder, self.agent_id)
        except ModelRefused:
            self.metrics.count(Metric.MODEL_FALLBACKS, agent=self.agent_id, reason="refused")
            return
        self.metrics.gauge(Metric.MODEL_INFO, 0, agent=self.agent_id, version=self._version.label)
        self._serve(model, deployed.version)

    def _serve(self, model: Model, version: ModelVersion) -> None:
        self._model, self._version = model, version
        self.metrics.gauge(Metric.MODEL_INFO, 1, agent=self.agent_id, version=version.label)
