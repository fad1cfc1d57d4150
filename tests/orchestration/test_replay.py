"""What a replay puts on the bus is what the agents read from the tables."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from adapters.bus.memory import MemoryBus
from agents.market_view import MarketView
from agents.price_history import price_histories
from assets.sample_news import sample_news
from domain.streams import Stream
from evaluation.platform_backtest import market_data
from orchestration.replay import Replay, news_items

NOW = datetime(2012, 9, 4, 20, tzinfo=UTC)
LATER = NOW + timedelta(days=40)


def bars_of(*rows):
    names = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
    return pl.DataFrame(
        rows, schema=names, orient="row", schema_overrides={"timestamp": pl.Datetime("us", "UTC")}
    )


@given(st.floats(1e-6, 1e8), st.floats(1.0, 2.0), st.floats(0.0, 1e13))
async def test_a_bar_from_a_table_and_from_the_bus_are_one_number(low, factor, volume):
    bars = bars_of(("IBM", NOW, low, low * factor, low, low * factor, volume))
    (message,) = market_data(bars)
    view = MarketView()
    await view.update(message)
    for ours, theirs in zip(view.history("IBM", NOW), price_histories(bars)["IBM"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bars_come_by_instant_then_symbol():
    prices = (1.0, 1.0, 1.0, 1.0, 0.0)
    bars = bars_of(*((s, t, *prices) for s in ("MSFT", "AAPL") for t in (LATER, NOW)))
    order = [(m.observed_at, m.symbol) for m in market_data(bars)]
    assert order == [(NOW, "AAPL"), (NOW, "MSFT"), (LATER, "AAPL"), (LATER, "MSFT")]


async def test_headlines_from_the_bus_weigh_what_those_from_the_table_weigh():
    days = [NOW + timedelta(days=day) for day in range(41)]
    bars = bars_of(*(("AAPL", day, 1.0, 1.0, 1.0, 1.0, 1.0) for day in days))
    news = sample_news(["AAPL"], NOW, LATER, seed=7)
    told, warm = MarketView(), MarketView()
    for view in (told, warm):
        view.warm_up(bars)
    warm.warm_up(pl.DataFrame(), news)
    for item in news_items(news):
        await told.update(item)
    tones = [[view.features("AAPL", day)["sentiment"] for day in days] for view in (told, warm)]
    assert tones[0] == tones[1]
    assert any(tones[0])


async def test_announced_headlines_lie_on_the_stream_that_agents_read():
    bus, news = MemoryBus(), sample_news(["AAPL"], NOW, LATER, seed=7)
    await Replay(bus, 1).announce(news)
    assert len(await bus.read(Stream.NEWS, 0)) == news.height
