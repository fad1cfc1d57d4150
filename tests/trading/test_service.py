"""The gateway process on a real PostgreSQL and a real Valkey, killed while it works."""

import asyncio
import itertools
import os
import signal
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
import redis

from adapters.http_server import bind, http_server
from adapters.ledger import PostgresLedger, open_ledger
from adapters.limit_requests import FileLimitRequests
from adapters.live_switch import LiveSwitch
from adapters.processes.run_file import find_process
from domain.errors import ConfigurationError, LiveTradingRefused
from domain.messages import decode
from domain.orders import ExecutionReport, OrderUpdated
from domain.ports.ledger import Log
from domain.settings import Settings, load_settings
from domain.streams import Stream
from domain.voting import Action
from tests.adapters.brokers.alpaca_server import KEY, SECRET, AlpacaServer
from tests.sealing import open_bus_for_everyone
from trading import service


@pytest.fixture
def platform(servers, ledger_url, tmp_path, monkeypatch):
    """Settings of a fresh platform, also in the environment that processes inherit."""
    with redis.from_url(servers.bus_url) as client:
        client.flushall()
    for name, value in {
        "HOME": str(tmp_path),
        "BUS_URL": servers.bus_url,
        "LEDGER_URL": ledger_url,
        "CLOCK": "event",
    }.items():
        monkeypatch.setenv(f"QUORUM_{name}", value)
    return load_settings()


@asynccontextmanager
async def gateway(settings):
    """Run the process for the block; yields it with its address once it is ready."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "trading.service")
    try:
        yield process, await ready(settings, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ready(settings, process):
    async with httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "the gateway ended"
            found = find_process(settings.home, service.PROCESS)
            if found is not None and found.pid == process.pid:
                answer = await client.get(f"{found.url}/readyz")
                if answer.status_code == httpx.codes.OK:
                    return found.url
            await asyncio.sleep(0.05)


async def drained(bus, stream):
    while (await bus.backlog(service.PROCESS, stream, 0)).total:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def recorded(settings):
    ledger = open_ledger(settings)
    try:
        return [r.data for r in await ledger.events(Log.ORDERS, 0)]
    finally:
        await ledger.close()


async def published(bus, stream):
    return [decode(d.data).message_id for d in await bus.read(stream, 0)]


def walk(make):
    return [
        (Stream.MARKET, make.bar(0)),
        (Stream.DECISIONS, make.decision(make.bar(0), horizon_days=1)),
        (Stream.MARKET, make.bar(1, "103", volume="900")),
        (Stream.DECISIONS, make.decision(make.bar(1, "103"), Action.SELL, "20", horizon_days=1)),
        (Stream.MARKET, make.bar(2, "104")),
    ]


async def test_killed_at_every_step_it_records_and_tells_the_same(
    make, platform, empty_database, monkeypatch
):
    bus = open_bus_for_everyone(platform)
    async with gateway(platform) as (process, url):
        for stream, message in walk(make):
            await bus.publish(stream, 0, message)
            await drained(bus, stream)
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{url}/metrics")).text
        assert 'quorum_orders_total{status="FILLED"} 1.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    expected = await recorded(platform)
    told = {s: await published(bus, s) for s in (Stream.ORDERS, Stream.PORTFOLIO)}
    assert len(told[Stream.PORTFOLIO]) == 3
    await bus.close()

    with redis.from_url(platform.bus_url) as client:
        client.flushall()
    monkeypatch.setenv("QUORUM_LEDGER_URL", empty_database)
    fresh = load_settings()
    bus = open_bus_for_everyone(fresh)
    for stream, message in walk(make):
        async with gateway(fresh) as (process, _):
            await bus.publish(stream, 0, message)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        async with gateway(fresh):
            await drained(bus, stream)
    assert await recorded(fresh) == expected
    assert {s: await published(bus, s) for s in told} == told
    await bus.close()


def test_a_wrong_setting_ends_with_its_exit_code(monkeypatch, capfd):
    monkeypatch.setenv("QUORUM_TRADING__HALF_SPREAD", "2")
    assert service.main() == ConfigurationError.exit_code
    assert "QUORUM_TRADING__HALF_SPREAD_BPS" in capfd.readouterr().err


def test_the_gateway_reads_every_partition():
    assert service.sources(2) == [
        (Stream.TRADING_STATE, 0),
        (Stream.MARKET, 0),
        (Stream.MARKET, 1),
        (Stream.DECISIONS, 0),
        (Stream.DECISIONS, 1),
    ]


def test_before_it_runs_it_is_not_ready():
    assert len(service.GatewayService(Settings()).problems()) == 1


async def test_the_running_gateway_waits_for_an_account_outside_and_then_trades_on_it(
    make, platform, monkeypatch
):
    server = AlpacaServer()
    server.clock = timedelta(days=1)  # a clock that is wrong: nothing may be sent
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        for name, value in {
            "NAME": "alpaca",
            "URL": f"http://127.0.0.1:{port}",
            "KEY": KEY,
            "SECRET": SECRET,
        }.items():
            monkeypatch.setenv(f"QUORUM_VENUE__{name}", value)
        bus = open_bus_for_everyone(platform)
        bar = make.bar(0)
        await bus.publish(Stream.MARKET, 0, bar)
        await bus.publish(Stream.DECISIONS, 0, make.decision(bar))
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "trading.service")
        try:
            while ("GET", "/v2/clock") not in server.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert not server.orders
            server.clock = timedelta()
            await ready(platform, process)
            while not server.orders:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            [order] = server.orders.values()
            server.fill(order["client_order_id"], order["qty"], "101")
            await bus.publish(Stream.MARKET, 0, make.bar(1))
            await drained(bus, Stream.MARKET)
            process.terminate()
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await bus.close()
    events = [decode(data) for data in await recorded(platform)]
    [fill] = [event for event in events if isinstance(event, ExecutionReport)]
    assert (fill.quantity, fill.price) == (Decimal(order["qty"]), Decimal(101))


async def test_real_money_is_refused_at_the_start_until_the_switch_is_on(platform, monkeypatch):
    server = AlpacaServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        for name, value in {
            "NAME": "alpaca",
            "LIVE": "true",
            "URL": f"http://127.0.0.1:{port}",
            "KEY": KEY,
            "SECRET": SECRET,
        }.items():
            monkeypatch.setenv(f"QUORUM_VENUE__{name}", value)
        settings = load_settings()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trading.service", stderr=asyncio.subprocess.PIPE
        )
        _, told = await process.communicate()
        assert process.returncode == LiveTradingRefused.exit_code
        assert b"Nobody has turned on trading with real money" in told
        switch = LiveSwitch(settings)
        switch.keep("first", decisions=50, trades=30, unexplained=0)
        switch.enable(server.account, "ada", "a week on paper")
        async with gateway(settings):  # ready: the account was opened
            assert ("GET", "/v2/account") in server.asked


async def test_a_running_gateway_hears_of_old_workers_and_of_limits(make, platform, ledger_url):
    old = PostgresLedger(ledger_url, software="1.0 old code")
    await old.acquire(Log.DECISIONS, 0)
    bus = open_bus_for_everyone(platform)
    days = itertools.count()

    async def ordered():
        """What the next day's decision comes to."""
        day = next(days)
        await bus.publish(Stream.MARKET, 0, make.bar(day))
        await drained(bus, Stream.MARKET)
        await bus.publish(Stream.DECISIONS, 0, make.decision(make.bar(day), quantity="1"))
        await drained(bus, Stream.DECISIONS)
        events = [decode(data) for data in await recorded(platform)]
        updates = [e for e in events if isinstance(e, OrderUpdated)]
        last = next(u for u in updates if u.order.created_at == make.at(day))
        return last.denial and last.denial.control

    async with gateway(platform):
        assert await ordered() == "mixed_versions"
        await old.close()
        new = open_ledger(platform)
        await new.acquire(Log.DECISIONS, 0)
        while (denied := await ordered()) is not None:
            assert denied == "mixed_versions"  # until it looks again
        FileLimitRequests(platform.home).ask("maximum_order_value", Decimal(50), "ada", "thin")
        assert await ordered() == "maximum_order_value"
        await new.close()
    await bus.close()
