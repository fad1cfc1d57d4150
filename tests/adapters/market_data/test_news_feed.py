"""Headlines from feeds on a local server."""

import gzip
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from adapters.clock import EventClock
from adapters.http_server import bind, http_server
from adapters.market_data.news_feed import NewsFeed, _entries
from adapters.metrics import PrometheusMetrics
from domain.errors import FeedUnavailable

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>t</title><link>http://x</link><description>d</description>{}
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><id>f</id>
<updated>2026-03-02T10:00:00Z</updated>
<entry><title>Ölpreis &amp; Zins</title><id>urn:1</id><updated>2026-03-02T10:00:00+02:00</updated>
</entry></feed>"""


def item(identity, title="Profit warning", date="Mon, 02 Mar 2026 09:30:00 -0500"):
    when = f"<pubDate>{date}</pubDate>" if date else ""
    return f"<item><guid>{identity}</guid><title>{title}</title>{when}</item>"


class NewsServer:
    def __init__(self, *items, document=None):
        self.document = (document or RSS.format("".join(items))).encode()
        self.headers = {}
        self.status = 200
        self.asked = []
        self.app = Starlette(
            routes=[Route("/feed", self._feed), Route("/round", self._round)],
        )

    async def _feed(self, request: Request) -> Response:
        self.asked.append(dict(request.headers))
        etag = self.headers.get("ETag")
        if etag and request.headers.get("if-none-match") == etag:
            return Response(status_code=304)
        return Response(self.document, self.status, self.headers)

    async def _round(self, _: Request) -> Response:
        return RedirectResponse("/round")


@asynccontextmanager
async def feed(server, *, path="feed", maximum_bytes=100_000, seconds=2.0):
    clock = EventClock()
    clock.observe(NOW)
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        source = NewsFeed(
            "IBM",
            f"http://127.0.0.1:{port}/{path}",
            maximum_bytes=maximum_bytes,
            timeout_seconds=seconds,
            clock=clock,
            metrics=PrometheusMetrics(),
        )
        try:
            yield source
        finally:
            await source.close()


async def test_headlines_are_told_once_in_order_by_their_time_in_utc():
    late = item("2", "Later", "Mon, 02 Mar 2026 14:45:00 GMT")
    server = NewsServer(late, item("1", " Profit\n warning "), item("1", "the same again"))
    async with feed(server) as source:
        first, second = await source.poll()
        assert (first.headline, second.headline) == ("Profit warning", "Later")
        assert first.published_at == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
        assert first.published_at.tzinfo is UTC
        assert await source.poll() == []
        server.document = RSS.format(item("3") + late).encode()
        assert [new.symbol for new in await source.poll()] == ["IBM"]


async def test_atom_is_read_as_well():
    async with feed(NewsServer(document=ATOM)) as source:
        [only] = await source.poll()
        assert only.headline == "Ölpreis & Zins"
        assert only.published_at == datetime(2026, 3, 2, 8, tzinfo=UTC)


async def test_what_did_not_change_is_not_read_again():
    server = NewsServer(item("1"))
    server.headers = {"ETag": '"a"', "Last-Modified": "Mon, 02 Mar 2026 14:00:00 GMT"}
    async with feed(server) as source:
        assert len(await source.poll()) == 1
        assert await source.poll() == []
        assert server.asked[1]["if-none-match"] == '"a"'
        assert server.asked[1]["if-modified-since"] == "Mon, 02 Mar 2026 14:00:00 GMT"


async def test_what_has_no_time_or_comes_from_the_future_is_left_out():
    ahead = (NOW + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    server = NewsServer(item("1", date=""), item("2", date=ahead), item("3", title=""), item("4"))
    async with feed(server) as source:
        [only] = await source.poll()
        assert only.published_at < NOW
        source._clock.observe(NOW + timedelta(hours=2))
        assert len(await source.poll()) == 1  # its time has come


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>
<rss version="2.0"><channel><item><title>&lol2;</title></item></channel></rss>"""


@pytest.mark.parametrize(
    ("document", "headers", "says"),
    [
        (BOMB.encode(), {}, "document type"),
        (BOMB.lower().encode(), {}, "document type"),
        (BOMB.encode("utf-16"), {}, "document type"),
        (b"<a>" * 40_000, {}, "more than 100000 bytes"),
        (gzip.compress(b" " * 10_000_000), {"Content-Encoding": "gzip"}, "more than 100000"),
        (b"no gzip", {"Content-Encoding": "gzip"}, "DecodingError"),
        (b"", {}, "neither RSS nor Atom"),
        (b"<html><body>gone</body></html>", {}, "neither RSS nor Atom"),
    ],
    ids=["entities", "lower case", "utf-16", "long", "gzip bomb", "no gzip", "empty", "a page"],
)
async def test_what_is_no_feed_or_an_attack_is_a_typed_error(document, headers, says):
    server = NewsServer()
    server.document, server.headers = document, headers
    async with feed(server) as source:
        with pytest.raises(FeedUnavailable, match=says):
            await source.poll()


@pytest.mark.parametrize(
    ("status", "path", "says"), [(503, "feed", "status 503"), (200, "round", "TooManyRedirects")]
)
async def test_a_source_that_is_away_is_a_typed_error_and_read_later(status, path, says):
    server = NewsServer(item("1"))
    server.status = status
    async with feed(server, path=path) as source:
        with pytest.raises(FeedUnavailable, match=says):
            await source.poll()


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=120).map(lambda t: RSS.format(t).encode()))
def test_any_bytes_are_entries_or_a_typed_error(document):
    with suppress(FeedUnavailable):
        assert isinstance(_entries(document), list)
