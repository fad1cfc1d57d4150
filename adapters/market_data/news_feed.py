"""Headlines from RSS and Atom feeds, read by `feedparser`.

What comes from outside is bounded before it is parsed: its bytes, decompressed, and no document
type, so that no entity can be expanded. A headline without an instant, or from the future, is
counted and left out: agents read headlines as of when they were published.
"""

import asyncio
import io
import time
from calendar import timegm
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import feedparser  # pyright: ignore[reportMissingTypeStubs]
import httpx

from adapters.market_data.bar import unreachable, unreadable
from domain.errors import InvalidValue
from domain.identity import derive_id
from domain.market import NewsItem
from domain.metrics import Metric
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics

_LONGEST_HEADLINE = 500
_REMEMBERED = 10_000
_AHEAD = timedelta(minutes=5)
_REDIRECTS = 3


class NewsFeed:
    """One feed about one symbol (implements `domain.ports.market_feed.NewsSource`).

    Parameters
    ----------
    symbol
        What its headlines are about.
    url
        Where it is.
    maximum_bytes
        Longest document that is read, decompressed.
    timeout_seconds
        Longest wait for it.
    """

    def __init__(
        self,
        symbol: str,
        url: str,
        *,
        maximum_bytes: int,
        timeout_seconds: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._symbol, self._url = symbol, url
        self._maximum_bytes, self._timeout = maximum_bytes, timeout_seconds
        self._clock, self._metrics = clock, metrics
        self._unchanged: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._client = httpx.AsyncClient(
            follow_redirects=True,
            max_redirects=_REDIRECTS,
            timeout=timeout_seconds,
            trust_env=False,
            headers={"Accept": "application/rss+xml, application/atom+xml, application/xml"},
        )

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    async def poll(self) -> Sequence[NewsItem]:
        """Return the headlines that it has by now and did not tell before, oldest first.

        Raises
        ------
        FeedUnavailable
            If it can't be reached, is too long, has a document type, or is no feed.
        """
        told = await self._document()
        if told is None:
            return []
        document, unchanged = told
        # A thread keeps a long document from holding up everything else.
        found = await asyncio.to_thread(_entries, document)
        self._unchanged = unchanged
        items = [item for entry in found if (item := self._item(entry)) is not None]
        return sorted(items, key=lambda item: (item.published_at, item.headline))

    async def _document(self) -> tuple[bytes, dict[str, str]] | None:
        """Return the feed's bytes, and what asks whether they changed; None where they did not."""
        read = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("GET", self._url, headers=self._unchanged) as answer,
            ):
                if answer.status_code == httpx.codes.NOT_MODIFIED:
                    return None
                if not answer.is_success:
                    raise unreachable(self._url, f"status {answer.status_code}")
                async for part in answer.aiter_bytes(65_536):
                    read += part
                    if len(read) > self._maximum_bytes:
                        raise unreadable(self._url, f"more than {self._maximum_bytes} bytes")
        except TimeoutError:
            raise unreachable(self._url, f"{self._timeout} s passed") from None
        except httpx.HTTPError as problem:
            raise unreachable(self._url, type(problem).__name__) from None
        named = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
        unchanged = {asked: answer.headers[told] for told, asked in named if told in answer.headers}
        # Without zero bytes, so that it is found in UTF-16 as well.
        if b"<!doctype" in bytes(read).replace(b"\0", b"").lower():
            raise unreadable(self._url, "a document type, which could define entities")
        return bytes(read), unchanged

    def _item(self, entry: Any) -> NewsItem | None:  # noqa: ANN401 - feedparser has no types
        headline = " ".join(str(entry.get("title") or "").split())[:_LONGEST_HEADLINE]
        identity = str(entry.get("id") or entry.get("link") or headline)
        if identity in self._seen:
            return None
        published = _instant(entry)
        if not headline or published is None or published > self._clock.now() + _AHEAD:
            reason = "no headline" if not headline else "no time" if published is None else "future"
            self._metrics.count(Metric.FEED_IGNORED, reason=reason)
            if reason != "future":  # that one may be told when its time has come
                self._remember(identity)
            return None
        self._remember(identity)
        message_id = derive_id("news", self._symbol, published.isoformat(), headline)
        try:
            return NewsItem(
                message_id=message_id,
                correlation_id=message_id,
                occurred_at=published,
                symbol=self._symbol,
                published_at=published,
                headline=headline,
                source=self._url,
            )
        except InvalidValue:
            self._metrics.count(Metric.FEED_IGNORED, reason="no time")
            return None

    def _remember(self, identity: str) -> None:
        self._seen[identity] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _entries(document: bytes) -> list[Any]:
    """Return a feed's entries; a stream, as `feedparser` takes text for an address to fetch."""
    parsed: Any = feedparser.parse(io.BytesIO(document), sanitize_html=True)
    if not parsed.get("version"):
        raise unreadable("the news feed", "neither RSS nor Atom")
    return parsed.entries


def _instant(entry: Any) -> datetime | None:  # noqa: ANN401
    """Return when an entry was published (UTC); None where it does not say."""
    told = entry.get("published_parsed") or entry.get("updated_parsed")
    if not isinstance(told, time.struct_time):
        return None
    try:
        return datetime.fromtimestamp(timegm(told), UTC)
    except (OverflowError, ValueError, OSError):
        return None
