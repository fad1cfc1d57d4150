"""One suite for every cache of last values; and who reads by way of one."""

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Protocol

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from pydantic import SecretStr

from adapters.embedded import Endpoints
from adapters.latest import MemoryCache, RedisCache, open_cache
from adapters.ledger.addresses import database_of
from adapters.metrics import PrometheusMetrics
from adapters.projections.figures import Latest
from adapters.projections.latest import CacheFiller, LatestValues
from domain.errors import EnvironmentProblem
from domain.latest import LatestPrice
from domain.messages import encode
from domain.ports.latest import Cached, LatestCache
from domain.settings import Settings
from tests.builders import at


class Passing(Protocol):
    """Lets a cache's time to live (1 s) pass."""

    def __call__(self) -> None: ...


@pytest.fixture(params=["memory", "valkey"])
def cache_and_time(request, servers: Endpoints) -> Iterator[tuple[LatestCache, Passing]]:
    if request.param == "memory":
        now = [0.0]
        yield (
            MemoryCache(time_to_live_seconds=1, clock=lambda: now[0]),
            lambda: now.append(now.pop() + 1),
        )
        return
    with closing(redis.Redis.from_url(servers.bus_url)) as client:
        client.flushall()

        def expire() -> None:
            for key in client.scan_iter("quorum:latest:*"):
                assert 0 < client.pttl(key) <= 1000
                client.pexpire(key, 0)

        with closing(RedisCache(servers.bus_url, ledger="0", time_to_live_seconds=1)) as cache:
            yield cache, expire


@pytest.fixture
def cache(cache_and_time) -> LatestCache:
    return cache_and_time[0]


def price(version: int, symbol: str = "IBM") -> Cached:
    value = LatestPrice(symbol=symbol, price=Decimal(version), observed_at=at(version % 1000))
    return Cached(kind="price", symbol=symbol, version=version, data=encode(value))


def test_a_value_is_read_back_and_others_are_left_out(cache: LatestCache):
    decision = Cached(kind="decision", symbol="IBM", version=9, data=b"{}")
    cache.put([price(1), price(2, "AAPL"), decision])
    assert cache.get("price", ["AAPL", "IBM", "MSFT"]) == {
        "AAPL": price(2, "AAPL"),
        "IBM": price(1),
    }
    assert cache.get("decision", ["IBM"]) == {"IBM": decision}
    assert cache.get("price", []) == {}
    cache.put([])


def test_an_older_value_never_replaces_a_newer_one(cache: LatestCache):
    cache.put([price(10)])
    cache.put([price(9)])
    assert cache.get("price", ["IBM"]) == {"IBM": price(10)}
    cache.put([price(9), price(11), price(2**53 - 1), price(12)])
    assert cache.get("price", ["IBM"]) == {"IBM": price(2**53 - 1)}


def test_values_of_another_ledger_are_others(servers: Endpoints):
    with (
        closing(RedisCache(servers.bus_url, ledger="1", time_to_live_seconds=60)) as one,
        closing(RedisCache(servers.bus_url, ledger="2", time_to_live_seconds=60)) as other,
    ):
        one.put([price(9)])
        other.put([price(1)])
        assert one.get("price", ["IBM"]) == {"IBM": price(9)}
        assert other.get("price", ["IBM"]) == {"IBM": price(1)}
    same = [
        database_of(f"postgresql+psycopg://{user}@record:5432/quorum")
        for user in ("ada", "bob:secret")
    ]
    assert len(set(same)) == 1
    assert database_of("postgresql+psycopg://ada@record:5432/other") not in same


def test_the_newest_remains_whatever_the_order(servers: Endpoints):
    client = redis.Redis.from_url(servers.bus_url)
    kept = RedisCache(servers.bus_url, ledger="0", time_to_live_seconds=60)

    @settings(max_examples=25)
    @given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8))
    def any_order(versions: list[int]) -> None:
        client.delete("quorum:latest:0:price:IBM")
        for version in versions:
            kept.put([Cached(kind="price", symbol="IBM", version=version, data=b"%d" % version)])
        found = kept.get("price", ["IBM"])["IBM"]
        assert (found.version, found.data) == (max(versions), b"%d" % max(versions))

    any_order()
    kept.close()
    client.close()


def test_a_value_that_nobody_renews_is_let_go(cache_and_time):
    cache, pass_time = cache_and_time
    cache.put([price(1)])
    pass_time()
    assert cache.get("price", ["IBM"]) == {}
    cache.put([price(0)])  # what was let go holds nothing back
    assert cache.get("price", ["IBM"]) == {"IBM": price(0)}


class Projected:
    """The projections as a reader behind the cache sees them."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def latest(self, symbols: list[str]) -> list[Latest]:
        self.asked.append(symbols)
        known = LatestPrice(symbol="IBM", price=Decimal(7), observed_at=at(7))
        return [Latest("IBM", known, 7, None, 0)] if "IBM" in symbols else []


def test_what_the_cache_lost_the_projections_tell(servers: Endpoints):
    metrics, figures = PrometheusMetrics(), Projected()
    with closing(redis.Redis.from_url(servers.bus_url)) as client:
        client.flushall()
    with closing(RedisCache(servers.bus_url, ledger="0", time_to_live_seconds=60)) as cache:
        values = LatestValues(cache, figures, metrics)  # type: ignore[arg-type]
        row = {
            "symbol": "AAPL",
            "price": Raw(encode(LatestPrice(symbol="AAPL", price=Decimal(5), observed_at=at(5)))),
        }
        CacheFiller(cache, metrics)(
            {"latest": [row | {"price_sequence": 5, "decision": None, "decision_sequence": None}]}
        )
        assert {s: p.price for s, p in values.prices(["AAPL", "IBM"]).items()} == {
            "AAPL": 5,
            "IBM": 7,
        }
        assert figures.asked == [["IBM"]]
        with closing(redis.Redis.from_url(servers.bus_url)) as client:
            client.flushall()
        assert list(values.prices(["AAPL", "IBM"])) == ["IBM"]
        assert figures.asked == [["IBM"], ["AAPL", "IBM"]]
    told = metrics.exposition().decode()
    assert 'quorum_cache_reads_total{answer="hit",kind="price"} 1.0' in told
    assert 'quorum_cache_reads_total{answer="miss",kind="price"} 3.0' in told


def test_a_cache_that_is_away_costs_nothing_but_time(unused_tcp_port: int):
    metrics, figures = PrometheusMetrics(), Projected()
    with closing(
        RedisCache(f"redis://127.0.0.1:{unused_tcp_port}", ledger="0", time_to_live_seconds=60)
    ) as away:
        with pytest.raises(EnvironmentProblem):
            away.get("price", ["IBM"])
        values = LatestValues(away, figures, metrics)  # type: ignore[arg-type]
        assert values.prices(["IBM"])["IBM"].price == 7
        row = {"symbol": "IBM", "price": Raw(b"{}"), "price_sequence": 1, "decision": None}
        CacheFiller(away, metrics)({"latest": [row]})
    told = metrics.exposition().decode()
    assert 'quorum_cache_reads_total{answer="away",kind="price"} 1.0' in told
    assert "quorum_cache_faults_total 1.0" in told


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"bus_url": "redis://localhost"}, RedisCache),
        ({"bus_url": "amqp://localhost"}, MemoryCache),
        ({"bus_url": "amqp://localhost", "projections": {"cache_url": "unix:///s"}}, RedisCache),
    ],
)
def test_the_settings_say_where_the_cache_is(variables, kind: Callable[..., LatestCache]):
    ledger = SecretStr("postgresql+psycopg://ada:secret@record/quorum")
    with closing(open_cache(Settings(ledger_url=ledger, **variables))) as found:
        assert isinstance(found, kind)
