"""The Market Analyst: proposes trades bar by bar, and votes on expected gain after costs."""

import asyncio
from datetime import datetime

import polars as pl

from agents.base import BaseAgent
from agents.indicators import WINDOW
from agents.market_analyst.patterns.saying import DetectedPattern, detect
from agents.market_analyst.proposing import propose
from agents.market_analyst.regime import Regime, assess_regime
from agents.market_analyst.technical import TechnicalAnalysis, analyse
from agents.price_history import PriceHistory
from agents.sentiment.headlines import Headlines, SymbolSentiment
from agents.sentiment.store import open_reader
from domain.errors import InvalidValue
from domain.market import MarketData, NewsItem
from domain.messages import Message
from domain.metrics import Metric
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.ports.model_source import ModelSource
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings
from domain.streams import Stream
from domain.voting import AgentId, TradingProposal

_REMEMBERED_PORTFOLIOS = 4096


class MarketAnalyst(BaseAgent):
    """Reads bars, headlines and the portfolio; proposes, and votes."""

    def __init__(  # noqa: PLR0917 - an agent's ports
        self,
        bus: MessageBus,
        models: ModelSource,
        metrics: Metrics,
        clock: Clock,
        settings: Settings,
        store: TimeSeriesStore,
    ) -> None:
        super().__init__(bus, models, metrics, clock, settings, store)
        self._portfolios: dict[str, Portfolio] = {}
        self._told = asyncio.Condition()
        self._headlines = Headlines(open_reader(settings, metrics))

    @property
    def agent_id(self) -> AgentId:
        """The Market Analyst."""
        return AgentId.MARKET_ANALYST

    def warm_up(self, bars: pl.DataFrame, news: pl.DataFrame | None = None) -> None:
        """Take in history from the tables BARS and NEWS."""
        super().warm_up(bars, news)
        self._headlines.warm_up(news)

    async def observe(self, message: Message) -> None:
        """Take in bars, headlines and, by the bar that caused them, portfolios."""
        if isinstance(message, NewsItem):
            self._headlines.add(message)
        if not isinstance(message, PortfolioUpdated):
            await super().observe(message)
            return
        async with self._told:
            self._portfolios.setdefault(message.causation_id, message.portfolio)
            if len(self._portfolios) > _REMEMBERED_PORTFOLIOS:
                self._portfolios.pop(next(iter(self._portfolios)))
            self._told.notify_all()

    async def process_message(self, message: Message) -> None:
        """On a bar: propose a trade where one is wanted. Otherwise as every agent."""
        await super().process_message(message)
        if isinstance(message, MarketData) and message.open is not None:
            proposal = await self.propose(message)
            if proposal is not None:
                await self.publish(Stream.PROPOSALS, proposal.symbol, proposal)
                self.metrics.count(Metric.PROPOSALS, action=proposal.action)

    async def propose(self, bar: MarketData) -> TradingProposal | None:
        """Return what the agent proposes on a bar, once the portfolio marked at it is known.

        Without that portfolio in time nothing is proposed, and the time-out is counted.
        """
        self.adopt_current_model()
        portfolio = await self._portfolio_at(bar.message_id)
        if portfolio is None:
            self.metrics.count(Metric.INPUT_TIMEOUTS, agent=self.agent_id, input="portfolio")
            return None
        return propose(
            self.model,
            self.model_version.label,
            self.view,
            bar,
            portfolio,
            limits=self.settings.trading,
            occurred_at=self.clock.now(),
            data_version=self.model_version.data_version,
            headlines=self._headlines,
        )

    async def _portfolio_at(self, bar_id: str) -> Portfolio | None:
        try:
            async with asyncio.timeout(self.settings.serving.input_timeout_seconds), self._told:
                await self._told.wait_for(lambda: bar_id in self._portfolios)
        except TimeoutError:
            return None
        return self._portfolios[bar_id]

    async def analyze_technical_indicators(self, symbol: str, at: datetime) -> TechnicalAnalysis:
        """Return indicators, features and alphas of the newest bar at `at`.

        Raises
        ------
        InvalidValue
            If no bar of the symbol is known by then, or prices are not adjusted for a split.
        """
        _check_one_scale(self._history(symbol, at).last(WINDOW), symbol)
        return analyse(self.view, symbol, at)

    async def analyze_sentiment(self, symbol: str, at: datetime) -> SymbolSentiment:
        """Return what the headlines published by `at` say, and which model read them.

        Without headlines its score and confidence are 0.

        Raises
        ------
        InvalidValue
            If `at` has no time zone.
        """
        return self._headlines.sentiment(symbol, at)

    async def detect_patterns(self, symbol: str, at: datetime) -> list[DetectedPattern]:
        """Return the patterns that the bars of one horizon up to `at` completed.

        Each comes with its geometry and with its track record in the market that the model was
        trained on.

        Raises
        ------
        InvalidValue
            If no bar of the symbol is known by then, one of them can't be, or prices are not
            adjusted for a split.
        """
        specification = self.model.specification
        history = self._history(symbol, at)
        if not history.can_be:
            raise InvalidValue(
                f"The history of {symbol} holds a price that is no positive number, or a negative "
                "volume.",
                next_step="Quarantine such bars where they are ingested.",
            )
        _check_one_scale(history.last(WINDOW), symbol)
        return detect(history, specification.patterns, specification.horizon_days)

    async def assess_market_regime(self, symbol: str, at: datetime) -> Regime | None:
        """Return the regime as of `at`, from the past alone.

        None where less than a year lies before the newest bar's, prices do not move, or they are
        not adjusted for a split since.

        Raises
        ------
        InvalidValue
            If no bar of the symbol is known by then, or a price is no positive number.
        """
        return assess_regime(self._history(symbol, at))

    def _history(self, symbol: str, at: datetime) -> PriceHistory:
        history = self.view.history(symbol, at)
        if not history.length:
            raise InvalidValue(
                f"No bar of {symbol} is known by {at.isoformat()}.",
                next_step="Ask for a later instant, or warm the view up with its history.",
            )
        return history


def _check_one_scale(history: PriceHistory, symbol: str) -> None:
    if history.split_steps().any():
        raise InvalidValue(
            f"Prices of {symbol} are not adjusted for a split.",
            next_step="Adjust or quarantine the bars before it where they are ingested.",
        )
