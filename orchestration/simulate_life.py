"""Months of a model's life in minutes: the routine day by day, on a market of known truth.

Each trading day the live engine and order path trade (`evaluation.backtest`), the guardrails hear
what became of earlier votes (`serving.watch`), a version on trial is judged by the record
(`assets.trial`), and where something asks for it a model is trained, goes through the gate
(`assets.gate`) and onto trial (`assets.ab_testing`). Nothing of that is simulated; what is, are
the market (`evaluation.worlds`) and the clock, which is the market's. Beside it the same days are
traded without the routine, by version 1 throughout.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.memory import MemoryModelRegistry
from adapters.model_registry.signing import ModelKeys
from adapters.time_series import open_time_series
from agents.indicators import compute_frame
from agents.learning.training import TASKS, classic, train
from agents.model import TrainedModel
from agents.model_files import load, save
from assets.ab_testing import comparison, decide
from assets.drift import drift
from assets.gate import validate
from assets.monitoring import RECENT_SESSIONS
from assets.promotion import registered
from assets.records import Comparison, ModelFolder
from assets.registration import challenge, ensure_champion
from assets.retraining import champion_of
from assets.succession import reconcile
from assets.trial import climb
from assets.trials import PastTrials
from assets.whole import incumbents_of
from domain.assignment import experiment_id, to_challenger
from domain.identity import derive_id
from domain.messages import Message
from domain.model_life import TRIAL, ModelMove
from domain.models import ModelVersion
from domain.portfolio import Portfolio
from domain.ports.ledger import Log
from domain.ports.model_source import DeployedModel
from domain.ports.time_series import Table
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId, TradingProposal
from evaluation.backtest import BacktestResult
from evaluation.claimed_edge import claimed_edge
from evaluation.platform_backtest import NamedModel, market_data
from evaluation.sequential import planned_horizon
from orchestration.simulated_figures import Event, SimulatedLife
from orchestration.simulated_market import SimulatedMarket
from orchestration.simulated_trading import trading
from serving.watch import Watch

#: Whose life is simulated: the agent that proposes, and can know what is planted.
AGENT = AgentId.MARKET_ANALYST
#: Trading days between two looks at a version on trial, between two trainings that the calendar
#: asks for, and after any training before something else may ask for the next.
DAYS_PER_LOOK, DAYS_PER_TRAINING, COOLDOWN_DAYS = 5, 21, 10
#: Of a trial, in standard deviations of one paired difference: how long a trial takes follows.
EFFECT = 0.5


class _Record:
    """What was lived so far, as `assets.live_record.LiveRecord` has it."""

    def __init__(self, lived: BacktestResult) -> None:
        self._lived = lived

    def messages(self, log: Log) -> Sequence[Message]:
        """Return the decisions, or what became of them."""
        return self._lived.decisions if log is Log.DECISIONS else self._lived.experiences


class _Life:
    """The routine's state between two days."""

    def __init__(self, market: SimulatedMarket, settings: Settings) -> None:
        self._settings, self._market = settings, market
        self._features = compute_frame(market.bars)
        self._store = open_time_series(settings)
        self._store.write(Table.BARS, market.bars)
        self._store.write(Table.FEATURES, self._features)
        self._registry = MemoryModelRegistry(ModelKeys.of(settings), settings.home / "registry")
        self._deployed = DeployedModels.of(settings)
        self._now = market.days[market.first] - timedelta(days=1)
        self._trained_on, self._trained_until, self._trainings = 0, self._now, 0
        for agent in AgentId:
            hand_set = self._kept(agent, "classic", classic(agent, **self._known()))
            ensure_champion(self._registry, self._deployed, hand_set, self._now)
        self._models = {agent: _named(champion_of(self._deployed, agent)) for agent in AgentId}
        self.first = dict(self._models)
        self._trial: _Trial | None = None
        self._watch = self._watching()
        self._backtest = trading(market, self._features, settings, self._cast, self._champion)
        self.lived, self.events = BacktestResult(Portfolio(cash=settings.trading.starting_cash)), []
        self._heard = self._told = 0
        self._tell(0)

    def live(self, day: int) -> None:
        """Live through simulated day 1, 2 …: trade, guard, judge the trial, train."""
        self._now = self._market.days[self._market.first + day - 1]
        bars = self._market.bars.filter(pl.col("timestamp") == self._now)
        self.lived = asyncio.run(self._backtest.run(market_data(bars)))
        self._now += timedelta(microseconds=1)
        self._guard()
        if self._trial is not None and day % DAYS_PER_LOOK == 0:
            self._look(self._trial)
        elif self._trial is None and (asked := self._asks(day)):
            self._train(day, asked)
        self._tell(day)

    def moves(self) -> Sequence[ModelMove]:
        """Return the registry's record."""
        return self._registry.moves(AGENT)

    def _guard(self) -> None:
        """Tell the watch what came of earlier votes; a breach takes the version back."""
        for experience in self.lived.experiences[self._heard :]:
            found = self._watch.observed(experience)
            if found is not None and self._watch.take_back(found):
                reconcile(self._registry, self._deployed, AGENT)
        self._heard = len(self.lived.experiences)

    def _look(self, trial: "_Trial") -> None:
        """Judge the version on trial by the record."""
        candidate = self._deployed.version(AGENT, trial.number).version
        since = [m for m in self.moves() if m.version == candidate.version][-1].occurred_at
        climb(
            self._registry,
            self._deployed,
            candidate,
            self._compared(candidate, self._trained_until),
            decisions=sum(d.occurred_at >= since for d in self.lived.decisions),
            policy=self._settings.promotion,
            occurred_at=self._now,
        )

    def _asks(self, day: int) -> str:
        """Return why a model should be trained today; empty if nothing asks for it."""
        waited = day - self._trained_on
        if waited < COOLDOWN_DAYS and self._trainings:
            return ""
        edge = claimed_edge(AGENT, self._models[AGENT].label, self.lived.experiences)
        if edge.ended:
            return f"An edge has ended. {edge.reason}"
        if waited >= DAYS_PER_TRAINING or not self._trainings:
            return "The calendar asks for it."
        return ""

    def _train(self, day: int, asked: str) -> None:
        """Train on all that is known, ask the gate, and put who passes on trial."""
        before, self._trained_until = self._trained_until, self._now
        self._trained_on, self._trainings = day, self._trainings + 1
        known = self._features.filter(pl.col("timestamp") < self._now)
        moved = drift(known, before, RECENT_SESSIONS).drop_nulls().row(0)
        trained = self._kept(AGENT, "trained", train(AGENT, **self._known()))
        champion = champion_of(self._deployed, AGENT).version
        verdict = validate(
            AGENT, trained, incumbents_of(self._deployed, {}), PastTrials(self._trainings + 1, {}),
            store=self._store, settings=self._settings,
        )  # fmt: skip
        record = challenge(
            self._registry, trained, champion, verdict, self._settings, occurred_at=self._now
        ).value
        reason = f"{asked} What moved most since: {moved[0]}, by {moved[1]:.2f}."
        self._note(day, record.version, "TRAINED", "routine", reason)
        candidate = registered(self._registry, record)
        found = self._compared(candidate, self._now)
        decide(self._registry, self._deployed, candidate, record, found, occurred_at=self._now)

    def _compared(self, candidate: ModelVersion, until: datetime) -> Comparison:
        return comparison(
            candidate, until, live=_Record(self.lived), store=self._store,
            settings=self._settings, registry=self._registry, deployed=self._deployed,
        ).found  # fmt: skip

    def _tell(self, day: int) -> None:
        """Note the moves that are new, and take up who votes and who is on trial from now on."""
        moves = self.moves()
        for move in moves[self._told :]:
            self._note(day, move.version, move.after, move.actor, move.reason)
        if len(moves) == self._told:
            return
        self._told = len(moves)
        self._models[AGENT] = _named(champion_of(self._deployed, AGENT))
        life = self._deployed.life(AGENT)
        self._trial = None
        if (number := life.on_trial) is not None and life.live is not None:
            share = TRIAL[life.of(number).status]
            named = _named(self._deployed.version(AGENT, number))
            experiment = experiment_id(AGENT, number, life.live)
            self._trial = _Trial(number, named, experiment, share)
        if self._watch.version.label != self._models[AGENT].label:
            self._watch = self._watching()

    def _note(self, day: int, version: int, what: str, by: str, reason: str) -> None:
        self.events.append(Event(day, f"{self._now:%Y-%m-%d}", version, what, by, reason))

    def _champion(self) -> NamedModel:
        return self._models[AGENT]

    def _cast(self, agent: AgentId, proposal: TradingProposal) -> NamedModel:
        """Return the model that votes: the champion, or the canary that the decision falls to."""
        trial = self._trial
        if agent is AGENT and trial is not None:
            decision = derive_id("decision", proposal.proposal_id)
            if to_challenger(trial.experiment, decision, trial.per_cent):
                return trial.named
        return self._models[agent]

    def _watching(self) -> Watch:
        champion = champion_of(self._deployed, AGENT).version
        return Watch(
            champion, self._deployed, PrometheusMetrics(), self._settings, lambda: self._now
        )

    def _known(self) -> dict[str, Any]:
        """Return what a training is given today."""
        known, features = (
            frame.filter(pl.col("timestamp") < self._now)
            for frame in (self._market.bars, self._features)
        )
        return {
            "bars": known,
            "features": features,
            "until": self._now,
            "seed": self._settings.seed,
            "settings": self._settings.trading,
        }

    def _kept(self, agent: AgentId, kind: str, trained: TrainedModel) -> ModelFolder:
        folder = self._settings.home / "training" / agent / kind / f"{self._now:%Y%m%d}"
        save(folder, trained)
        learning = asdict(replace(TASKS[agent].LEARNING, seed=self._settings.seed))
        return ModelFolder(
            agent=agent, folder=str(folder), kind=kind, run_id=str(self._trainings),
            until=self._now.isoformat(), metrics=trained.metrics, data_version="simulated",
            code_version="", learning=learning,
        )  # fmt: skip


def _named(deployed: DeployedModel) -> NamedModel:
    version = deployed.version
    return NamedModel(load(deployed.folder, version.agent_type), version.label)


class _Trial(NamedTuple):
    number: int
    named: NamedModel
    experiment: str
    per_cent: int


def simulate_life(
    market: SimulatedMarket, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> SimulatedLife:
    """Live through a market's days with the routine, and once more without it.

    Parameters
    ----------
    settings
        Their state folder is written to: give one that is for this alone.
    progress
        Called after each day with it and their number.
    """
    settings = settings.model_copy(update={"clock": "event", "promotion": policy(settings)})
    life = _Life(market, settings)
    days = len(market.days) - market.first
    for day in range(1, days + 1):
        life.live(day)
        if progress is not None:
            progress(day, days)
    alone = trading(
        market,
        compute_frame(market.bars),
        settings,
        lambda agent, _: life.first[agent],
        lambda: life.first[AGENT],
    )
    since = market.bars.filter(pl.col("timestamp") >= market.days[market.first])
    without = asyncio.run(alone.run(market_data(since)))
    return SimulatedLife(
        events=life.events,
        moves=life.moves(),
        equity=life.lived.equity_curve["equity"].to_list(),
        equity_without=without.equity_curve["equity"].to_list(),
    )


def policy(settings: Settings) -> PromotionSettings:
    """Return how a version climbs here: all rungs, as long as the declared effect needs."""
    horizon = planned_horizon(EFFECT)
    return PromotionSettings.model_validate(
        {
            **settings.promotion.model_dump(),
            "trial": tuple(TRIAL),
            "horizon": horizon,
            "decisions_per_rung": horizon // (2 * len(TRIAL)),
        }
    )
