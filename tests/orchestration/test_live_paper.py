"""A live feed through the live objects: what is late is traded by nobody."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adapters.http_server import bind, http_server
from domain.errors import ConfigurationError
from domain.market import FeedChanged, FeedState, MarketData
from domain.settings import FeedSettings, Settings
from domain.voting import ConsensusResult, Outcome
from orchestration import live_paper
from tests.adapters.market_data.bar_servers import KEY, SECRET, BarServer, told
from tests.agents.conftest import START, make_bars
from tests.orchestration.trading_home import settle

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return settle(tmp_path_factory.mktemp("home"), make_bars(), START + timedelta(days=560))


async def test_a_live_feed_is_traded_and_bars_that_come_late_are_not(settings, monkeypatch):
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    closes = {n: f"{100 + n % 7}.25" for n in range(-400, 6)}
    server = BarServer()
    server.page = 10_000
    server.stored = [(now + (n - 1) * MINUTE, close) for n, close in closes.items() if n <= 0]
    seen: list[MarketData | FeedChanged] = []
    stop = asyncio.Event()
    tell = live_paper.Replay.tell

    async def watched(self, message):
        await tell(self, message)
        seen.append(message)
        if message.occurred_at == now + 5 * MINUTE:
            stop.set()

    monkeypatch.setattr(live_paper.Replay, "tell", watched)
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        feed = FeedSettings(
            source="alpaca",
            symbols=("IBM",),
            key=KEY,
            secret=SECRET,
            url=f"http://127.0.0.1:{port}",
            stream_url=f"ws://127.0.0.1:{port}",
            exchange="24/7",
        )
        serving = settings.serving.model_copy(update={"maximum_model_age_days": 100_000})
        live = settings.model_copy(update={"feed": feed, "serving": serving, "clock": "event"})
        trading = asyncio.create_task(live_paper.trade(live, stop))
        while not server.connections:  # the history was asked for by now
            await asyncio.sleep(0.01)
            assert not trading.done()
        server.stored = [(now + (n - 1) * MINUTE, close) for n, close in closes.items()]
        for number in (1, 2, 5):
            server.to_send.put_nowait(
                f"[{told(now + (number - 1) * MINUTE, closes[number], 'IBM')}]"
            )
        async with asyncio.timeout(60):
            events = await trading
        server.to_send.put_nowait(None)
    bars = [e for e in events if isinstance(e, MarketData)]
    assert [(bar.observed_at - now) // MINUTE for bar in bars] == [1, 2, 3, 4, 5]
    changes = [(m.state, (m.since - now) // MINUTE) for m in seen if isinstance(m, FeedChanged)]
    assert changes == [(FeedState.GAP, 2), (FeedState.LIVE, 4)]
    late = {bars[2].message_id, bars[3].message_id}
    for decision in (e for e in events if isinstance(e, ConsensusResult)):
        if decision.correlation_id in late:
            assert decision.outcome is Outcome.REJECT
            assert all(vote.weight == 0 for vote in decision.counted)


def test_without_a_source_it_says_what_to_set(settings):
    with pytest.raises(ConfigurationError, match="No live feed"):
        live_paper.run_live_paper(settings, 1)


def test_feed_settings_are_read_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("QUORUM_HOME", str(tmp_path))
    monkeypatch.setenv("QUORUM_FEED__SOURCE", "okx")
    monkeypatch.setenv("QUORUM_FEED__SYMBOLS", '["BTC/USDT"]')
    monkeypatch.setenv("QUORUM_FEED__NEWS", '{"IBM": "https://news.example/rss"}')
    feed = Settings().feed
    assert (feed.source, feed.symbols) == ("okx", ("BTC/USDT",))
    assert feed.news == {"IBM": "https://news.example/rss"}
