"""Trial proposals: what the classic analyst would have proposed on the tuning days.

Scores and confidences of the other agents are calibrated on them, with the same code that votes
live. The trial portfolio executes most proposals, by a seeded coin, so that it is seen at every
degree of investment.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.assessment import Abstention, Assessment, Case
from agents.learning.samples import Panel
from agents.market_analyst.proposing import propose
from agents.market_view import MarketView
from agents.model import Model
from agents.price_history import Floats, to_instant
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import ZERO, canonical, notional
from domain.portfolio import Portfolio, Position
from domain.settings import TradingSettings
from domain.voting import Action, TradingProposal

_EXECUTED_SHARE = 0.7


class Trial(NamedTuple):
    """A trial proposal, and the row of the panel that says what came of it."""

    case: Case
    row: int


class Trials(NamedTuple):
    """All trial proposals over the rows of `panel`."""

    panel: Panel
    cases: list[Trial]

    def row(self, symbol: str, time: int) -> int | None:
        """Return the panel's row of `symbol` at `time`, or None."""
        start = int(np.searchsorted(self.panel.times, time, side="left"))
        end = int(np.searchsorted(self.panel.times, time, side="right"))
        found = np.flatnonzero(self.panel.symbols[start:end] == symbol)
        return start + int(found[0]) if len(found) else None

    def column(self, values: Floats) -> Floats:
        """Return the panel column's value for each trial."""
        return values[[trial.row for trial in self.cases]]

    def directions(self) -> Floats:
        """Return 1 or -1 per trial."""
        return np.array([float(trial.case.direction) for trial in self.cases])

    def assessed(
        self, assess: Callable[[Trial], Assessment | Abstention]
    ) -> list[Assessment | Abstention]:
        """Return each trial's judgement."""
        return [assess(trial) for trial in self.cases]


def make_trials(
    analyst: Model,
    bars: pl.DataFrame,
    features: pl.DataFrame,
    days: Panel,
    *,
    limits: TradingSettings,
    seed: int,
) -> Trials:
    """Walk over the panel's rows and return what `analyst` proposes on the way."""
    view = MarketView()
    last = to_instant(int(days.times[-1]))
    view.warm_up(
        bars.filter(pl.col("timestamp") <= last),
        features=features.filter(pl.col("timestamp") <= last),
    )
    coin = np.random.default_rng(seed)
    portfolio = Portfolio(cash=limits.starting_cash)
    cases: list[Trial] = []
    for row, bar in enumerate(_bars_of(view, days)):
        portfolio = _marked(portfolio, bar)
        proposal = propose(
            analyst, "trial", view, bar, portfolio, limits=limits, occurred_at=bar.observed_at
        )
        if proposal is None:
            continue
        cases.append(Trial(Case(view, proposal, bar.observed_at, limits), row))
        if coin.random() < _EXECUTED_SHARE:
            portfolio = _filled(portfolio, proposal)
    return Trials(days, cases)


def _bars_of(view: MarketView, days: Panel) -> Iterator[MarketData]:
    for symbol, time in zip(days.symbols.tolist(), days.times.tolist(), strict=True):
        at = to_instant(time)
        newest = view.history(symbol, at).last(1)
        opened, high, low, close, volume = (canonical(float(column[0])) for column in newest[1:])
        name = derive_id("bar", symbol, at.isoformat())
        yield MarketData(
            message_id=name, correlation_id=name, occurred_at=at, symbol=symbol, observed_at=at,
            price=close, volume=volume, open=opened, high=high, low=low,
        )  # fmt: skip


def _marked(portfolio: Portfolio, bar: MarketData) -> Portfolio:
    return _with(portfolio, bar.symbol, portfolio.quantity(bar.symbol), bar.price, portfolio.cash)


def _filled(portfolio: Portfolio, proposal: TradingProposal) -> Portfolio:
    signed = proposal.quantity if proposal.action is Action.BUY else -proposal.quantity
    price = proposal.reference_price
    held = portfolio.quantity(proposal.symbol) + signed
    return _with(portfolio, proposal.symbol, held, price, portfolio.cash - notional(price, signed))


def _with(
    portfolio: Portfolio, symbol: str, quantity: Decimal, price: Decimal, cash: Decimal
) -> Portfolio:
    others = tuple(p for p in portfolio.positions if p.symbol != symbol)
    own = Position(symbol=symbol, quantity=quantity, average_price=price, mark_price=price)
    return Portfolio(cash=cash, positions=others if quantity == ZERO else (*others, own))
