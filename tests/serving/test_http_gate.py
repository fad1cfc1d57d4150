import os
import pickle
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from adapters.health import health_app
from adapters.http_server import bind, http_server
from adapters.metrics import PrometheusMetrics
from serving.http_gate import MAXIMUM_BODY_BYTES, HttpGate


class Fuse:
    """Unpickling it leaves a file behind."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def metrics():
    return PrometheusMetrics()


def gated(metrics, token=""):
    async def echo(request: Request):
        return JSONResponse({"length": len(await request.body())})

    async def broken(_: Request):
        raise OSError("boom")

    return HttpGate(
        Starlette(routes=[Route("/vote", echo, methods=["POST"]), Route("/broken", broken)]),
        routes=["/vote", "/broken"],
        health=lambda: health_app(metrics, lambda: ["no model"]),
        metrics=lambda: metrics,
        token=lambda: SecretStr(token),
    )


@asynccontextmanager
async def client(metrics):
    async with (
        http_server(gated(metrics), bind("127.0.0.1", 0)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        yield http


def requests(metrics, route, status):
    labels = {"route": route, "status": str(status)}
    return metrics.registry.get_sample_value("quorum_requests_total", labels)


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json; charset=utf-8"}])
async def test_json_passes(metrics, headers):
    async with client(metrics) as http:
        answer = await http.post("/vote", content=b"{}", headers=headers)
        assert answer.json() == {"length": 2}
    assert requests(metrics, "/vote", 200) == 1
    seconds = {"route": "/vote"}
    assert metrics.registry.get_sample_value("quorum_request_seconds_count", seconds) == 1


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", "application/vnd.bentoml+pickle")],
        [("content-type", "APPLICATION/VND.BENTOML+PICKLE ; x=y")],
        [("content-type", "application/json"), ("content-type", "application/vnd.bentoml+pickle")],
        [("content-type", "application/octet-stream")],
        [("content-type", "application/x-pickle")],
        [("content-type", "multipart/form-data; boundary=x")],
        [("content-type", "application/x-www-form-urlencoded")],
        [("content-type", "text/plain")],
    ],
)
async def test_what_is_not_json_is_refused_unread(metrics, tmp_path, headers):
    trace = tmp_path / "ran"
    async with client(metrics) as http:
        answer = await http.post("/vote", content=pickle.dumps(Fuse(trace)), headers=headers)
    assert answer.status_code == 415
    assert answer.json() == {
        "error": "MessageRefused",
        "what": f"Media type {headers[-1][1]} is not read here.",
        "kept": "The body was not looked at.",
        "next_step": "Send application/json.",
    }
    assert not trace.exists()


@pytest.mark.parametrize("path", ["/", "/static_content/x", "/docs.json", "/vote/submit", "//vote"])
async def test_unknown_paths_are_refused_and_make_no_new_series(metrics, path):
    async with client(metrics) as http:
        answer = await http.get(str(http.base_url) + path)
    assert answer.status_code == 404
    assert "/vote" in answer.json()["next_step"]
    assert requests(metrics, "unknown", 404) == 1


async def test_a_long_body_is_refused_before_it_is_read_whole(metrics):
    async def flood():
        for _ in range(MAXIMUM_BODY_BYTES // 1_000_000 + 2):
            yield b" " * 1_000_000

    async with client(metrics) as http:
        answer = await http.post("/vote", content=flood())
    assert answer.status_code == 413
    assert str(MAXIMUM_BODY_BYTES) in answer.json()["what"]


async def test_health_is_answered_beside_the_application(metrics):
    async with client(metrics) as http:
        assert (await http.get("/livez")).status_code == 200
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (503, ["no model"])
        assert (await http.get("/metrics")).status_code == 200
    assert b"quorum_requests_total" not in metrics.exposition()


async def test_a_crash_behind_the_gate_is_counted_as_500(metrics):
    async with client(metrics) as http:
        assert (await http.get("/broken")).status_code == 500
    assert requests(metrics, "/broken", 500) == 1


async def test_a_websocket_is_closed(metrics):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    await gated(metrics)({"type": "websocket", "path": "/vote"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1003}]


def ends(metrics, *, client="127.0.0.1", server="127.0.0.1", token=""):
    """Return a client of the gate whose connection has these two ends."""
    host = f"[{server}]" if ":" in server else server
    transport = httpx.ASGITransport(gated(metrics, token), client=(client, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def bearing(token, scheme="Bearer"):
    return {"authorization": f"{scheme} {token}"}


OFF_LOOPBACK = [
    {"client": "10.0.0.9"},
    {"server": "10.0.0.1"},
    {"client": "10.0.0.9", "server": "10.0.0.1"},
    {"client": "::ffff:10.0.0.9"},
    {"client": ""},
]


@pytest.mark.parametrize("off", OFF_LOOPBACK)
async def test_off_loopback_only_the_token_opens(metrics, off):
    http = ends(metrics, token="a secret", **off)
    for right in (bearing("a secret"), bearing("a secret", "bearer")):
        assert (await http.post("/vote", content=b"{}", headers=right)).status_code == 200
    wrong = [bearing("a"), bearing("a secret too"), bearing("a secret", "Basic")]
    for headers in ({}, *wrong, {"authorization": "Bearer a sécret".encode()}):
        answer = await http.post("/vote", content=b"{}", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"] == "NotAuthenticated"
        assert "QUORUM_SERVING__TOKEN" in answer.json()["next_step"]
    assert requests(metrics, "/vote", 401) == 5


@pytest.mark.parametrize("off", OFF_LOOPBACK)
async def test_off_loopback_nothing_opens_where_no_token_is_set(metrics, off):
    http = ends(metrics, **off)
    for headers in ({}, bearing("")):
        assert (await http.post("/vote", content=b"{}", headers=headers)).status_code == 401


async def test_a_stranger_is_not_told_which_paths_there_are(metrics):
    http = ends(metrics, client="10.0.0.9", token="a secret")
    assert (await http.get("/nothing")).status_code == 401


@pytest.mark.parametrize("off", OFF_LOOPBACK)
async def test_probes_need_no_token(metrics, off):
    http = ends(metrics, token="a secret", **off)
    answers = [(await http.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")]
    assert answers == [200, 503, 200]


@pytest.mark.parametrize("own", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
async def test_on_loopback_no_token_is_needed(metrics, own):
    http = ends(metrics, client=own, server=own, token="a secret")
    assert (await http.post("/vote", content=b"{}")).status_code == 200
