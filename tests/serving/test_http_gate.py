import os
import pickle
from contextlib import asynccontextmanager

import httpx
import pytest
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


@asynccontextmanager
async def client(metrics):
    async def echo(request: Request):
        return JSONResponse({"length": len(await request.body())})

    async def broken(_: Request):
        raise OSError("boom")

    app = HttpGate(
        Starlette(routes=[Route("/vote", echo, methods=["POST"]), Route("/broken", broken)]),
        routes=["/vote", "/broken"],
        health=lambda: health_app(metrics, lambda: ["no model"]),
        metrics=lambda: metrics,
    )
    async with (
        http_server(app, bind("127.0.0.1", 0)) as port,
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

    gate = HttpGate(Starlette(), routes=[], health=Starlette, metrics=lambda: metrics)
    await gate({"type": "websocket", "path": "/vote"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1003}]
