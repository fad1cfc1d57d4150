"""An agent's service over real HTTP and a real bus; the agent itself is a small one."""

import asyncio
import hashlib
import os
import pickle
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import bentoml
import httpx
import msgspec
import pytest
import redis
from pydantic import SecretStr

from adapters.agent_endpoint import Served
from adapters.agent_endpoint import served as served_by
from adapters.bus import open_bus
from adapters.http_server import bind, http_server
from adapters.processes.run_file import announced
from adapters.profile import connected
from domain.errors import ModelRefused
from domain.identity import derive_id
from domain.market import MarketData
from domain.messages import decode, encode
from domain.model_life import ModelLife, apply, next_move
from domain.models import DeploymentStatus
from domain.portfolio import Portfolio
from domain.seals import split
from domain.settings import ServingSettings, Settings
from domain.streams import Stream
from domain.voting import Action, AgentId, TradingProposal, Vote
from serving.agent_runtime import AgentRuntime
from serving.agent_service import MAXIMUM_BATCH, OPTIONS, AgentService, guarded

AGENT = AgentId.RISK_MANAGER
GROUP = f"agent.{AGENT}"
NOON = datetime(2013, 1, 2, 21, tzinfo=UTC)


class Fuse:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


class SmallAgent:
    """Votes 75 with the model it has loaded; knows the bars it was shown."""

    failures = 0
    refusals = 0
    written: ClassVar[list[str]] = []

    def __init__(self, bus, source):
        self.bus, self.source = bus, source
        self.seen: list[str] = []
        self.prepared: list[str] = []
        self.learned: list[str] = []
        self.history = 0
        self.loaded = source.current(AGENT)

    @property
    def model_version(self):
        return self.loaded.version

    def adopt_current_model(self):
        self.loaded = self.source.current(AGENT)

    def warm_up(self, bars, _news):
        if self.failures:
            SmallAgent.failures -= 1
            raise OSError("history is away")
        self.history = bars.height

    async def observe(self, message):
        self.seen.append(message.message_id)

    def prepare(self, message):
        self.prepared.append(message.message_id)

    async def write_experiences(self):
        if SmallAgent.refusals:
            SmallAgent.refusals -= 1
            raise OSError("the disk is full")
        SmallAgent.written, self.learned = [*SmallAgent.written, *self.learned], []

    async def process_message(self, message):
        if isinstance(message, TradingProposal):
            await self.bus.publish(Stream.VOTES, 0, await self.vote_on_decision(message))
        else:
            self.learned.append(message.message_id)

    async def vote_on_decision(self, proposal):
        label = self.model_version.label
        return Vote(
            message_id=derive_id("vote", AGENT, proposal.proposal_id, label),
            correlation_id=proposal.correlation_id,
            causation_id=proposal.message_id,
            occurred_at=proposal.occurred_at,
            agent_id=AGENT,
            proposal_id=proposal.proposal_id,
            symbol=proposal.symbol,
            score=75,
            confidence_ppm=600_000,
            rationale=f"{len(self.seen)} bars, {len(self.prepared)} prepared",
            model_version=label,
        )


class SmallRuntime(AgentRuntime):
    def trial(self, deployed):
        if (deployed.folder / "model.safetensors").read_bytes() == b"NaN":
            raise ModelRefused("Tensor w is not finite.", next_step="Train again.")

    def agent(self, bus, source, _metrics, _clock):
        return SmallAgent(bus, source)


@pytest.fixture(scope="module")
def bus_url(tmp_path_factory):
    with connected(Settings(home=tmp_path_factory.mktemp("home")), servers=["valkey"]) as settings:
        yield settings.bus_url


@pytest.fixture
def settings(tmp_path, bus_url):
    with redis.Redis.from_url(bus_url) as server:
        server.flushall()
    return Settings(
        home=tmp_path,
        bus_url=bus_url,
        serving=ServingSettings(model_poll_seconds=0.05, experience_write_seconds=0.05),
    )


@pytest.fixture
async def bus(settings):
    bus = open_bus(settings)
    yield bus
    await bus.close()


@pytest.fixture
def champion(promote, deploy):
    version = deploy(AGENT, 1)
    promote(version)
    return version


@pytest.fixture
def service(settings):
    @guarded
    @bentoml.service(name="small", **OPTIONS)
    class Small(AgentService):
        agent_id = AGENT

        @classmethod
        def build(cls):
            return SmallRuntime(AGENT, settings)

    return Small


@pytest.fixture
def up(service):
    @asynccontextmanager
    async def running():
        async with (
            http_server(service.to_asgi(), bind("127.0.0.1", 0), lifespan="on") as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
        ):
            yield http

    return running


@pytest.fixture
def ready(eventually):
    async def wait(http):
        async def answers():
            return (await http.get("/readyz")).status_code == 200

        await eventually(answers)

    return wait


@pytest.fixture
def behind_token(settings):
    """Return a service whose settings name a token."""
    serving = settings.serving.model_copy(update={"token": SecretStr("a secret")})

    @guarded
    @bentoml.service(name="small", **OPTIONS)
    class Small(AgentService):
        agent_id = AGENT

        @classmethod
        def build(cls):
            return SmallRuntime(AGENT, settings.model_copy(update={"serving": serving}))

    return Small


def bar(number: int) -> MarketData:
    at = NOON.replace(day=number)
    bar_id = derive_id("bar", "IBM", at.isoformat())
    return MarketData(
        message_id=bar_id,
        correlation_id=bar_id,
        occurred_at=at,
        symbol="IBM",
        observed_at=at,
        price=Decimal(196),
        volume=Decimal(1000),
    )


def proposal(number: int = 2) -> TradingProposal:
    of = bar(number)
    return TradingProposal(
        message_id=derive_id("proposal", of.message_id, "market_analyst@1:0"),
        correlation_id=of.message_id,
        causation_id=of.message_id,
        occurred_at=of.observed_at,
        symbol="IBM",
        action=Action.BUY,
        quantity=Decimal(10),
        reference_price=Decimal(196),
        price_target=Decimal(200),
        horizon_days=5,
        rationale="",
        confidence_ppm=550_000,
        portfolio=Portfolio(cash=Decimal(1_000_000)),
        model_version="market_analyst@1:0",
    )


async def test_it_is_alive_at_once_and_ready_once_a_model_is_deployed(
    up, ready, promote, deploy, eventually
):
    async with up() as http:
        assert (await http.get("/livez")).status_code == 200

        async def says_why():
            answer = await http.get("/readyz")
            return answer.status_code == 503 and "No model of" in answer.json()["problems"][0]

        await eventually(says_why)
        refused = await http.post("/vote", content=encode(proposal()))
        assert refused.status_code == 503
        assert "does not vote yet" in refused.json()["what"]

        version = deploy(AGENT, 1)
        promote(version)
        await ready(http)
        details = (await http.get("/readyz")).json()
        assert (details["agent"], details["model"]) == (AGENT, version.label)


async def test_it_votes_over_http_and_publishes_nothing(up, ready, champion, bus):
    async with up() as http:
        await ready(http)
        answer = await http.post("/vote", content=encode(proposal()))
        vote = decode(answer.content)
        assert isinstance(vote, Vote)
        assert (answer.status_code, vote.score, vote.model_version) == (200, 75, champion.label)
        assert encode(vote) == answer.content
    assert not await bus.read(Stream.VOTES, 0)


async def test_a_batch_is_answered_in_its_order(up, ready, champion):
    proposals = [proposal(day) for day in (3, 2, 4)]
    async with up() as http:
        await ready(http)
        answer = await http.post(
            "/vote_batch", content=msgspec.json.encode([msgspec.Raw(encode(p)) for p in proposals])
        )
        single = [(await http.post("/vote", content=encode(p))).json() for p in proposals]
    assert answer.json() == single
    assert [v["proposal_id"] for v in single] == [p.proposal_id for p in proposals]


async def test_it_tells_its_version_and_weights(up, ready, champion):
    async with up() as http:
        await ready(http)
        assert (await http.post("/version")).json() == {
            "agent": AGENT,
            "version": 1,
            "label": champion.label,
            "weights_sha256": hashlib.sha256(b"v1").hexdigest(),
            "data_version": "d1",
            "code_version": "",
            "fallback": "",
        }


def changed(**fields):
    return msgspec.json.encode({**msgspec.json.decode(encode(proposal())), **fields})


BAD = {
    "nothing": b"",
    "no json": b"{",
    "no object": b"[]",
    "no text": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "NaN": encode(proposal()).replace(b'"196"', b"NaN"),
    "NaN in quotes": changed(reference_price="NaN"),
    "infinite": changed(quantity="Infinity"),
    "negative": changed(quantity="-1"),
    "no time zone": changed(occurred_at="2013-01-02T21:00:00"),
    "unknown field": changed(surprise=1),
    "unknown type": changed(type="Order66"),
    "unknown version": changed(schema_version=99),
    "wrong type": changed(horizon_days="five"),
    "another message": encode(bar(2)),
    "path in a symbol": changed(symbol="../../etc"),
}


@pytest.fixture
async def served(up, ready, champion):
    async with up() as http:
        await ready(http)
        yield http


async def test_bad_input_is_refused_with_a_reason_and_never_a_500(served):
    for name, body in BAD.items():
        for path, sent in (("/vote", body), ("/vote_batch", b"[" + body + b"]")):
            if (path, name) == ("/vote_batch", "nothing"):
                continue  # an empty list asks for nothing
            answer = await served.post(path, content=sent)
            assert answer.status_code == 400, (path, name, answer.text)
            refused = answer.json()
            assert refused["error"] in {"MessageRefused", "UnknownSchemaVersion"}, name
            assert refused["what"], name
            assert refused["kept"], name
            assert refused["next_step"], name


async def test_a_batch_has_a_limit(served):
    answer = await served.post("/vote_batch", content=b"[" + b"0," * MAXIMUM_BATCH + b"0]")
    assert answer.status_code == 400
    assert f"{MAXIMUM_BATCH} are allowed" in answer.json()["what"]


@pytest.mark.parametrize("path", ["/vote", "/vote_batch", "/version"])
@pytest.mark.parametrize("media_type", ["application/vnd.bentoml+pickle", "application/x-pickle"])
async def test_a_pickle_that_would_run_code_is_refused(served, tmp_path, path, media_type):
    trace = tmp_path / "ran"
    body = pickle.dumps(Fuse(trace))
    for headers in ({}, {"buffer-lengths": str(len(body))}):
        answer = await served.post(
            path, content=body, headers={"content-type": media_type, **headers}
        )
        assert answer.status_code == 415
    assert not trace.exists()


async def test_the_framework_s_own_pages_are_not_served(served):
    for path in ("/", "/docs.json", "/schema.json", "/static_content/index.css"):
        assert (await served.get(path)).status_code == 404


async def test_its_metrics_are_those_of_the_table(served):
    await served.post("/vote", content=encode(proposal()))
    text = (await served.get("/metrics")).text
    assert "quorum_messages_consumed_total" not in text
    assert 'quorum_requests_total{route="/vote",status="200"} 1.0' in text


async def test_it_votes_on_the_bus_knowing_all_bars_that_stood_there(
    up, ready, champion, bus, eventually
):
    for day in range(2, 12):
        await bus.publish(Stream.MARKET, 0, bar(day))
    await bus.publish(Stream.PROPOSALS, 0, proposal(11))
    async with up() as http:
        await ready(http)

        async def finished():
            return not (await bus.backlog(GROUP, Stream.PROPOSALS, 0)).total

        await eventually(finished)
        (delivery,) = await bus.read(Stream.VOTES, 0)
        on_the_bus = decode(delivery.data)
        assert on_the_bus.rationale == "10 bars, 0 prepared"
        _, vote = split(delivery.data)
        assert vote == (await http.post("/vote", content=encode(proposal(11)))).content


async def test_a_bars_work_is_done_as_it_comes_but_not_for_a_backlog(
    up, ready, champion, bus, eventually
):
    for day in range(2, 12):
        await bus.publish(Stream.MARKET, 0, bar(day))
    async with up() as http:
        await ready(http)
        await bus.publish(Stream.MARKET, 0, bar(12))

        async def prepared():
            answer = await http.post("/vote", content=encode(proposal(12)))
            return answer.json()["rationale"] == "11 bars, 1 prepared"

        await eventually(prepared)


async def test_what_it_lived_through_is_written_though_the_disk_was_full_once(
    up, ready, champion, bus, eventually, monkeypatch
):
    monkeypatch.setattr(SmallAgent, "refusals", 1)
    monkeypatch.setattr(SmallAgent, "written", [])
    async with up() as http:
        await ready(http)
        lived = bar(3)  # any message: what an experience is, the agent knows
        await bus.publish(Stream.EXPERIENCES, 0, lived)

        async def written():
            return SmallAgent.written == [lived.message_id]

        await eventually(written)
        assert SmallAgent.refusals == 0


async def test_a_promotion_is_served_without_a_request_lost_and_told_truly(
    served, champion, promote, deploy, eventually
):
    second = deploy(AGENT, 2)
    statuses, labels, swapped = set(), [], asyncio.Event()

    async def ask():
        while not swapped.is_set():
            answer = await served.post("/vote", content=encode(proposal()))
            statuses.add(answer.status_code)
            labels.append(answer.json()["model_version"])

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    promote(second, champion)

    async def told():
        return (await served.post("/version")).json()["label"] == second.label

    await eventually(told)
    swapped.set()
    await asyncio.gather(*asking)
    assert statuses == {200}
    assert set(labels) <= {champion.label, second.label}


async def test_a_broken_champion_is_told_and_the_last_good_one_votes(
    served, champion, promote, deploy, eventually
):
    promote(deploy(AGENT, 2, b"NaN"), champion)

    async def told():
        return (await served.get("/readyz")).json()["fallback"] == "Tensor w is not finite."

    await eventually(told)
    assert (await served.get("/readyz")).status_code == 200
    assert (await served.post("/version")).json()["label"] == champion.label
    assert "quorum_model_fallbacks_total" in (await served.get("/metrics")).text


async def test_an_agent_that_fails_begins_again(up, ready, champion, eventually, monkeypatch):
    monkeypatch.setattr(SmallAgent, "failures", 1)
    async with up() as http:

        async def failed():
            return "history is away" in (await http.get("/readyz")).text

        await eventually(failed)
        await ready(http)


@pytest.fixture
def on_trial(models, deploy):
    """Deploy version 1, live, and version 2, in shadow."""
    versions, life, moves = [deploy(AGENT, 1), deploy(AGENT, 2)], ModelLife(AGENT), []
    live, validated, shadow = (DeploymentStatus[n] for n in ("LIVE", "VALIDATED", "SHADOW"))
    for number, after in ((1, live), (2, validated), (2, shadow)):
        made = next_move(life, number, after, actor="gate", reason="r", occurred_at=NOON)
        trial = (shadow,) if after is validated else ()
        moves.append(msgspec.structs.replace(made, trial=trial))
        life = apply(life, moves[-1])
    models.follow(AGENT, moves)
    return versions


async def test_a_version_on_trial_is_asked_by_its_number(up, ready, on_trial, eventually):
    one, two = on_trial
    async with up() as http:
        await ready(http)

        async def told():
            return (await http.get("/readyz")).json()["trial"] == two.label

        await eventually(told)

        async def votes():
            answer = await http.post("/vote?version=2", content=encode(proposal()))
            return answer.status_code == 200 and decode(answer.content).model_version == two.label

        await eventually(votes)
        for path, label in (("/vote", one.label), ("/vote?version=1", one.label)):
            answer = await http.post(path, content=encode(proposal()))
            assert decode(answer.content).model_version == label
        for unknown in ("3", "0", "-1", "two", "9" * 30):
            answer = await http.post(f"/vote?version={unknown}", content=encode(proposal()))
            assert (answer.status_code, answer.json()["error"]) == (404, "NotServed"), unknown


async def test_an_explanation_holds_the_vote_and_what_moved_it(
    up,
    ready,
    on_trial,
    monkeypatch,
):
    async def drivers(_, __):
        return {"inputs": {"momentum": 0.5}, "drivers": {"log_variance": {"momentum": 0.1}}}

    monkeypatch.setattr(SmallAgent, "drivers", drivers, raising=False)
    async with up() as http:
        await ready(http)
        answer = await http.post("/explain", content=encode(proposal()))
        vote = await http.post("/vote", content=encode(proposal()))
        told = answer.json()
        assert told["vote"] == vote.json()
        assert told["drivers"] == {"log_variance": {"momentum": 0.1}}
        assert (await http.post("/explain", content=b"{")).status_code == 400


async def test_off_loopback_every_endpoint_asks_for_the_token_of_the_settings(behind_token):
    app, bearing = behind_token.to_asgi(), {"authorization": "Bearer a secret"}
    elsewhere = httpx.ASGITransport(app, client=("10.0.0.9", 50_000))
    async with (
        http_server(app, bind("127.0.0.1", 0), lifespan="on"),
        httpx.AsyncClient(transport=elsewhere, base_url="http://10.0.0.1") as http,
    ):
        for route in (method.route for method in behind_token.apis.values()):
            assert (await http.post(route, content=b"{}")).status_code == 401, route
            let_in = await http.post(route, content=b"{}", headers=bearing)
            assert let_in.status_code != 401, route
        probes = [(await http.get(path)).status_code for path in ("/livez", "/metrics")]
        assert probes == [200, 200]
        assert (await http.get("/readyz")).status_code in {200, 503}


async def test_who_asks_what_is_served_bears_the_token(
    behind_token, champion, ready, settings, monkeypatch
):
    monkeypatch.setattr("adapters.bearer.is_loopback", lambda _: False)
    host, process = "127.0.0.1", f"agent.{AGENT}"
    async with (
        http_server(behind_token.to_asgi(), bind(host, 0), lifespan="on") as port,
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as http,
    ):
        await ready(http)
        with announced(settings.home, process, host, port):
            told = [
                await asyncio.to_thread(served_by, settings.home, AGENT, SecretStr(token))
                for token in ("", "guessed", "a secret")
            ]
    weights = champion.model_artifacts["model.safetensors"]
    assert told == [None, None, Served(champion.label, weights)]
