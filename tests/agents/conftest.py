"""A small seeded market, models trained on it, and stand-ins for what an agent is built from."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from agents.indicators import compute_frame
from agents.learning.training import classic, train
from agents.market_view import MarketView
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import canonical
from domain.portfolio import Portfolio, Position
from domain.settings import ServingSettings, TradingSettings
from domain.voting import Action, AgentId, TradingProposal

START = datetime(2020, 1, 1, 21, tzinfo=UTC)
DAYS = 620
UNTIL = START + timedelta(days=600)
SYMBOLS = ("AAA", "BBB", "CCC")


def make_bars(symbols=SYMBOLS, days=DAYS, seed=5, drift=0.0005):
    """Random walks with clustered volatility, a common factor, and volume that follows it."""
    random = np.random.default_rng(seed)
    common = random.standard_normal(days)
    frames = []
    for number, symbol in enumerate(symbols):
        log_volatility = np.zeros(days)
        for day in range(1, days):
            log_volatility[day] = 0.95 * log_volatility[day - 1] + 0.15 * random.standard_normal()
        volatility = (0.008 + 0.004 * number) * np.exp(log_volatility)
        shocks = 0.5 * common + 0.87 * random.standard_normal(days)
        close = 50.0 * np.exp(np.cumsum(drift + volatility * shocks))
        opened = close * np.exp(-0.3 * volatility * shocks)
        spread = volatility * (0.2 + np.abs(random.standard_normal(days)))
        high = np.maximum(opened, close) * np.exp(spread)
        low = np.minimum(opened, close) * np.exp(-spread)
        volume = np.round(1e7 * np.exp(0.8 * log_volatility + 0.2 * random.standard_normal(days)))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * days,
                    "timestamp": [START + timedelta(days=d) for d in range(days)],
                    "open": opened,
                    "high": high,
                    "low": low,
                    "close": close,
                    "volume": volume,
                    "raw_close": close,
                    "source": ["test"] * days,
                },
                schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
            )
        )
    return pl.concat(frames)


def bar_message(bars, symbol, at):
    """Return the row of `bars` as the message that the live plane would carry."""
    row = bars.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") == at)).row(0, named=True)
    name = derive_id("bar", symbol, at.isoformat())
    return MarketData(
        message_id=name,
        correlation_id=name,
        occurred_at=at,
        symbol=symbol,
        observed_at=at,
        price=canonical(row["close"]),
        volume=canonical(row["volume"]),
        open=canonical(row["open"]),
        high=canonical(row["high"]),
        low=canonical(row["low"]),
    )


def make_proposal(bars, symbol, at, *, action=Action.BUY, fraction=0.05, edge=0.01, held=()):
    """Return a proposal on a bar; `held` is (symbol, fraction of equity) pairs."""
    message = bar_message(bars, symbol, at)
    positions = tuple(
        Position(
            symbol=name,
            quantity=Decimal(int(share * 1e6 / 100)),
            average_price=Decimal(100),
            mark_price=Decimal(100),
        )
        for name, share in held
    )
    cash = Decimal(1_000_000) - sum((p.market_value for p in positions), Decimal(0))
    sign = 1 if action is Action.BUY else -1
    return TradingProposal(
        message_id=derive_id("proposal", message.message_id, "test"),
        correlation_id=message.message_id,
        causation_id=message.message_id,
        occurred_at=at,
        symbol=symbol,
        action=action,
        quantity=Decimal(max(1, int(fraction * 1e6 / float(message.price)))),
        reference_price=message.price,
        price_target=canonical(round(float(message.price) * (1 + sign * edge), 6)),
        horizon_days=5,
        rationale="test",
        confidence_ppm=550_000,
        portfolio=Portfolio(cash=cash, positions=positions),
        model_version="test",
    )


@pytest.fixture(scope="session")
def bars():
    return make_bars()


@pytest.fixture(scope="session")
def features(bars):
    return compute_frame(bars)


@pytest.fixture(scope="session")
def limits():
    return TradingSettings()


@pytest.fixture(scope="session")
def serving():
    return ServingSettings(input_timeout_seconds=0.01)


@pytest.fixture(scope="session")
def until():
    return UNTIL


@pytest.fixture(scope="session")
def classics(bars, features, limits):
    """Return each agent's version 1."""
    return {
        agent: classic(agent, bars, features, until=UNTIL, seed=3, settings=limits)
        for agent in AgentId
    }


@pytest.fixture
def view(bars):
    seen = MarketView()
    seen.warm_up(bars)
    return seen


@pytest.fixture(scope="session")
def bar_of(world):
    return world.bar_of


@pytest.fixture(scope="session")
def proposal_of(world):
    return world.proposal_of


@pytest.fixture(scope="session")
def world(bars, features, limits, serving):
    """Return all of the market at once."""
    return SimpleNamespace(
        bars=bars,
        features=features,
        limits=limits,
        serving=serving,
        until=UNTIL,
        bar_of=lambda symbol, at: bar_message(bars, symbol, at),
        proposal_of=lambda symbol="AAA", at=UNTIL, **changes: make_proposal(
            bars, symbol, at, **changes
        ),
    )


@pytest.fixture(scope="session")
def market():
    """Return the maker of markets, for tests that need another one."""
    return make_bars


@pytest.fixture(scope="session")
def trained_risk(bars, features, limits):
    """Return a learned model of the Risk Manager."""
    return train(AgentId.RISK_MANAGER, bars, features, until=UNTIL, seed=3, settings=limits)
