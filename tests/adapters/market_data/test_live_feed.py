"""A gapless feed out of a stream that breaks."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.clock import EventClock
from adapters.http_server import bind, http_server
from adapters.market_data.alpaca_bars import AlpacaBarHistory, AlpacaBarStream
from adapters.market_data.bar import bar, unreachable
from adapters.market_data.live_feed import LiveFeed, longest_wait
from adapters.metrics import PrometheusMetrics
from domain.market import FeedChanged, FeedState, MarketData
from tests.adapters.market_data.bar_servers import KEY, SECRET, BarServer, told

OPENED = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIVE, GAP, STALE = FeedState


def one(number, symbol="IBM"):
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), "100")
    return bar(symbol, OPENED + number * MINUTE, prices)


class History:
    """All bars but those of quiet minutes; away while it is told to be."""

    def __init__(self, quiet=()):
        self.quiet, self.away = set(quiet), False

    async def bars(self, symbol, after, until):
        if self.away:
            raise unreachable("history", "away")
        first, last = ((moment - OPENED) // MINUTE for moment in (after, until))
        return [one(n, symbol) for n in range(first + 1, last + 1) if n not in self.quiet]


def feed_of(history, *, is_open=lambda _: True, stream=None):
    clock = EventClock()
    clock.observe(OPENED)
    return clock, LiveFeed(
        stream,
        history,
        interval=MINUTE,
        stale_after=3 * MINUTE,
        clock=clock,
        metrics=PrometheusMetrics(),
        is_open=is_open,
        draw=lambda: 0.0,
    )


def said(messages):
    """Return bars as their minutes and changes as (state, the minute from which)."""
    return [
        (m.state, (m.since - OPENED) // MINUTE)
        if isinstance(m, FeedChanged)
        else (m.observed_at - OPENED) // MINUTE
        for m in messages
    ]


async def taken(feed, *numbers):
    return said([m for n in numbers for m in await feed.take(one(n))])


async def test_bars_that_follow_one_another_leave_as_they_came():
    _, feed = feed_of(History())
    assert await taken(feed, 1, 2, 3) == [1, 2, 3]


async def test_what_was_missed_leaves_first_and_is_told_as_a_gap():
    _, feed = feed_of(History())
    assert await taken(feed, 1, 5) == [1, (GAP, 1), 2, 3, 4, (LIVE, 4), 5]


async def test_minutes_that_nobody_traded_are_no_gap():
    _, feed = feed_of(History(quiet=(2, 3)))
    assert await taken(feed, 1, 4, 5) == [1, 4, 5]


async def test_bars_wait_while_nobody_can_say_what_lies_between():
    history = History()
    _, feed = feed_of(history)
    history.away = True
    assert await taken(feed, 1, 3, 4, 6) == [1, (GAP, 1)]
    assert said(await feed.check()) == []
    history.away = False
    assert said(await feed.check()) == [2, 3, 4, 5, (LIVE, 5), 6]
    assert await taken(feed, 7) == [7]


async def test_a_feed_goes_on_behind_the_bars_that_agents_are_warmed_up_with():
    clock, feed = feed_of(History())
    clock.observe(OPENED + 4 * MINUTE)
    assert said(await feed.past("IBM", OPENED)) == [1, 2, 3, 4]
    assert await taken(feed, 4, 7) == [(GAP, 4), 5, 6, (LIVE, 6), 7]


async def test_a_bar_that_comes_again_or_late_does_not_leave():
    _, feed = feed_of(History())
    assert await taken(feed, 1, 2, 2, 1, 3) == [1, 2, 3]


async def test_an_overdue_bar_makes_the_feed_stale_once_and_a_new_one_ends_it():
    clock, feed = feed_of(History())
    await feed.take(one(1))
    clock.observe(OPENED + 5 * MINUTE)
    assert await feed.check() == []
    clock.observe(OPENED + 5 * MINUTE + timedelta(seconds=1))
    assert said(await feed.check()) == [(STALE, 1)]
    assert await feed.check() == []
    assert await taken(feed, 6) == [(GAP, 1), 2, 3, 4, 5, (LIVE, 5), 6]


async def test_a_closed_market_makes_nothing_stale():
    clock, feed = feed_of(History(), is_open=lambda _: False)
    await feed.take(one(1))
    clock.observe(OPENED + timedelta(hours=12))
    assert await feed.check() == []


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=25),
    st.sets(st.integers(2, 29)),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_whatever_comes_every_bar_leaves_once_in_order_without_a_hole(numbers, quiet, aways):
    history = History(quiet - set(numbers))
    _, feed = feed_of(history)

    async def run():
        left = []
        for number, away in zip(numbers, aways, strict=False):
            history.away = away
            left += await feed.take(one(number))
        history.away = False
        return left + await feed.check()

    left = said(asyncio.run(run()))
    bars = [each for each in left if isinstance(each, int)]
    first, last = numbers[0], max(numbers)
    expected = [n for n in range(first, last + 1) if n not in history.quiet]
    assert bars == expected
    states = [each[0] for each in left if not isinstance(each, int)]
    assert states == [GAP, LIVE] * (len(states) // 2)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1), (4, 4), (7, 30), (9999, 30)])
def test_waits_between_connections_double_up_to_a_cap(failures, seconds):
    assert longest_wait(failures) == seconds


async def test_a_broken_connection_is_made_again_and_what_it_missed_is_filled_in():
    server = BarServer()
    server.stored = [(OPENED + n * MINUTE, "100") for n in range(10)]
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        stream = AlpacaBarStream(
            KEY, SECRET, ["IBM"], url=f"ws://127.0.0.1:{port}", timeout_seconds=2
        )
        history = AlpacaBarHistory(KEY, SECRET, url=f"http://127.0.0.1:{port}", timeout_seconds=2)
        _, feed = feed_of(history, stream=stream)
        for message in (told(OPENED, "100", "IBM"), None, told(OPENED + 4 * MINUTE, "100", "IBM")):
            server.to_send.put_nowait(message and f"[{message}]")
        left: list[MarketData | FeedChanged] = []
        try:
            async with aclosing(feed.messages(check_seconds=0.05)) as messages:
                async for message in messages:
                    left.append(message)
                    if message.occurred_at == OPENED + 5 * MINUTE:
                        break
        finally:
            server.to_send.put_nowait(None)
            await history.close()
        assert said(left) == [1, (GAP, 1), 2, 3, 4, (LIVE, 4), 5]
        assert server.connections == 2
