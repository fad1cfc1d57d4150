"""One agent's process as the supervisor starts it: real model, real bus, real signals."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import numpy as np
import polars as pl
import psutil
import pytest
import redis

from adapters.bus import open_bus
from adapters.http_server import bind
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from adapters.processes.run_file import find_process
from adapters.profile import connected
from adapters.time_series import open_time_series
from agents.learning.training import classic
from agents.model_files import save
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import decode, encode
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.portfolio import Portfolio, PortfolioUpdated
from domain.ports.time_series import Table
from domain.seals import split
from domain.settings import ServingSettings, Settings
from domain.streams import Stream
from domain.voting import Action, AgentId, TradingProposal, Vote
from serving.__main__ import port_of

DAYS = 1200
START = datetime(2008, 1, 1, 21, tzinfo=UTC)
END = START + timedelta(days=DAYS)


def history() -> pl.DataFrame:
    """Two symbols' seeded random walks, a bar a day."""
    random = np.random.default_rng(7)
    frames = []
    for symbol in ("AAA", "BBB"):
        close = np.round(50 * np.exp(np.cumsum(random.normal(0.0003, 0.015, DAYS))), 4)
        opened = np.round(close * np.exp(random.normal(0, 0.004, DAYS)), 4)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * DAYS,
                    "timestamp": [START + timedelta(days=n) for n in range(DAYS)],
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.003,
                    "low": np.minimum(opened, close) * 0.997,
                    "close": close,
                    "volume": np.round(random.lognormal(14, 0.4, DAYS)),
                    "raw_close": close,
                    "source": ["test"] * DAYS,
                },
                schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
            )
        )
    return pl.concat(frames)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A state folder with history and version 1 of two agents."""
    home = tmp_path_factory.mktemp("home")
    settings, bars = Settings(home=home), history()
    open_time_series(settings).write(Table.BARS, bars)
    for agent in (AgentId.MARKET_ANALYST, AgentId.RISK_MANAGER):
        folder = home / "models" / agent / "1"
        save(folder, classic(agent, bars, until=END, seed=7, settings=settings.trading))
        version = ModelVersion(
            model_id=f"quorum-{agent}",
            version=1,
            agent_type=agent,
            performance_metrics={},
            deployment_status=DeploymentStatus.LIVE,
            created_at=END,
            model_artifacts=verified(folder, agent),
        )
        signed = ModelKeys.of(settings).sign(version)
        DeployedModels.of(settings).point(Alias.CHAMPION, signed)
    return home


@pytest.fixture(scope="module")
def bus_url(home):
    with connected(Settings(home=home), servers=["valkey"]) as settings:
        yield settings.bus_url


@pytest.fixture
async def bus(bus_url, home):
    with redis.Redis.from_url(bus_url) as server:
        server.flushall()
    bus = open_bus(Settings(home=home, bus_url=bus_url))
    yield bus
    await bus.close()


@pytest.fixture
def start(home, bus_url):
    """Start an agent's process as the supervisor does; killed at the end if it still runs."""

    @contextmanager
    def process(*arguments, **environment):
        command = [sys.executable, "-m", "serving", *arguments]
        variables = {
            "QUORUM_HOME": str(home),
            "QUORUM_BUS_URL": bus_url,
            "QUORUM_CLOCK": "event",
            "QUORUM_LOG_FORMAT": "json",
            **environment,
        }
        with subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                yield child
            finally:
                child.kill()
                child.communicate()

    return process


@pytest.fixture
def ready(home, eventually):
    async def wait(child, agent):
        async def answers():
            assert child.poll() is None, child.stderr.read()
            run_file = find_process(home, f"agent.{agent}")
            if run_file is None:
                return False
            async with httpx.AsyncClient() as http:
                return (await http.get(f"{run_file.url}/readyz")).status_code == 200

        await eventually(answers, 120)
        return find_process(home, f"agent.{agent}").url

    return wait


def bar() -> MarketData:
    bar_id = derive_id("bar", "AAA", END.isoformat())
    return MarketData(
        message_id=bar_id,
        correlation_id=bar_id,
        occurred_at=END,
        symbol="AAA",
        observed_at=END,
        price=Decimal("19.4"),
        volume=Decimal(1_200_000),
        open=Decimal("19.2"),
        high=Decimal("19.5"),
        low=Decimal("19.1"),
    )


def proposal() -> TradingProposal:
    of = bar()
    return TradingProposal(
        message_id=derive_id("proposal", of.message_id, "market_analyst@1:0"),
        correlation_id=of.message_id,
        causation_id=of.message_id,
        occurred_at=END,
        symbol="AAA",
        action=Action.BUY,
        quantity=Decimal(100),
        reference_price=of.price,
        price_target=Decimal(20),
        horizon_days=5,
        rationale="",
        confidence_ppm=550_000,
        portfolio=Portfolio(cash=Decimal(1_000_000)),
        model_version="market_analyst@1:0",
    )


async def test_it_announces_itself_votes_both_ways_alike_and_ends_on_a_signal(
    start, ready, bus, home, eventually
):
    await bus.publish(Stream.MARKET, 0, bar())
    await bus.publish(Stream.PROPOSALS, 0, proposal())
    with start("risk_manager") as child:
        url = await ready(child, AgentId.RISK_MANAGER)

        async def voted():
            return bool(await bus.read(Stream.VOTES, 0))

        await eventually(voted)
        (delivery,) = await bus.read(Stream.VOTES, 0)
        vote = decode(delivery.data)
        assert isinstance(vote, Vote)
        assert (vote.agent_id, vote.abstention, vote.occurred_at) == ("risk_manager", "", END)
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.post("/vote", content=encode(proposal()))
            assert answer.content == split(delivery.data)[1]
            assert (await http.post("/version")).json()["label"] == vote.model_version
            assert "quorum_model_info" in (await http.get("/metrics")).text
        listening = [c for c in psutil.Process(child.pid).net_connections() if c.status == "LISTEN"]
        assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
        child.send_signal(signal.SIGTERM)
        output, lines = child.communicate(timeout=60)
    assert (child.returncode, output) == (0, "")
    assert find_process(home, "agent.risk_manager") is None
    for line in lines.splitlines():
        assert msgspec.json.decode(line)["process"] == "agent.risk_manager"


async def test_the_market_analyst_works_off_bars_and_finishes_each_before_it_acknowledges(
    start, ready, bus, eventually
):
    held = PortfolioUpdated(
        message_id="p1",
        correlation_id=bar().message_id,
        causation_id=bar().message_id,
        occurred_at=END,
        portfolio=Portfolio(cash=Decimal(1_000_000)),
    )
    with start("market_analyst") as child:
        await ready(child, AgentId.MARKET_ANALYST)
        await bus.publish(Stream.MARKET, 0, bar())

        async def taken():
            return (await bus.backlog("agent.market_analyst", Stream.MARKET, 0)).pending == 1

        await eventually(taken)
        await bus.publish(Stream.PORTFOLIO, 0, held)

        async def finished():
            return not (await bus.backlog("agent.market_analyst", Stream.MARKET, 0)).total

        await eventually(finished)
        for delivery in await bus.read(Stream.PROPOSALS, 0):
            assert decode(delivery.data).portfolio == held.portfolio


def test_a_taken_port_is_one_line_of_three_sentences_and_an_exit_code(start):
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        with start("risk_manager", "--port", port) as child:
            _, lines = child.communicate(timeout=60)
    assert child.returncode == 4
    line = msgspec.json.decode(lines)
    assert [line["what"], line["kept"], line["next_step"]] == [
        f"Can't listen on 127.0.0.1:{port}: Address already in use.",
        "Nothing was changed.",
        "End what uses the port, or choose another (0 takes a free one).",
    ]


def test_a_wrong_setting_is_said_clearly(start):
    with start("risk_manager", QUORUM_SERVING__FIRST_PORT="many") as child:
        _, lines = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "QUORUM_SERVING__FIRST_PORT has a wrong value" in lines
    assert "Traceback" not in lines


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--host", "0.0.0.0"), {}), ((), {"QUORUM_SERVING__HOST": "::"})],
)
def test_it_does_not_listen_off_loopback_without_a_token(start, arguments, environment):
    with start("risk_manager", *arguments, **environment) as child:
        _, lines = child.communicate(timeout=60)
    assert child.returncode == 2
    line = msgspec.json.decode(lines)
    assert "is not loopback, and no token is set" in line["what"]
    assert "QUORUM_SERVING__TOKEN" in line["next_step"]


def test_an_unknown_agent_is_refused(start):
    with start("prophet") as child:
        _, lines = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "prophet" in lines


def test_ports_follow_the_first_one():
    free, fixed = Settings(), Settings(serving=ServingSettings(first_port=7000))
    assert {port_of(agent, free) for agent in AgentId} == {0}
    assert [port_of(agent, fixed) for agent in AgentId] == [7000, 7001, 7002, 7003]
