import asyncio
import signal
import socket
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from adapters.health import health_app, serve_health
from adapters.http_server import bind, http_server
from adapters.metrics import PrometheusMetrics
from adapters.processes.run_file import find_process
from domain.errors import EnvironmentProblem
from domain.metrics import Metric


async def test_a_process_is_asked_over_http_while_its_loop_works(tmp_path):
    metrics = PrometheusMetrics()
    metrics.gauge(Metric.OPEN_ROUNDS, 2)
    problems: list[str] = ["the ledger is being recovered"]
    app = health_app(metrics, lambda: problems, lambda: {"position": "12-0"})
    async with serve_health(app, "127.0.0.1", 0, home=tmp_path, process="consensus") as run_file:
        assert find_process(tmp_path, "consensus") == run_file
        async with httpx.AsyncClient(base_url=run_file.url) as client:
            assert (await client.get("/livez")).json() == {"alive": True}

            waiting = await client.get("/readyz")
            assert waiting.status_code == 503
            assert waiting.json() == {
                "ready": False,
                "problems": ["the ledger is being recovered"],
                "position": "12-0",
            }
            problems.clear()
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["ready"]) == (200, True)

            text = (await client.get("/metrics")).text
            families = {f.name: f for f in text_string_to_metric_families(text)}
            assert families["quorum_open_rounds"].samples[0].value == 2
    assert find_process(tmp_path, "consensus") is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", run_file.port))


async def test_a_taken_port_is_said_clearly(tmp_path):
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"127.0.0.1:{port}"):
            async with serve_health(Starlette(), "127.0.0.1", port, home=tmp_path, process="x"):
                pass
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("127.0.0.1", 70_000, "no such port"),
        ("192.0.2.1", 0, "Cannot assign"),
        ("no.invalid", 0, ""),
    ],
)
def test_an_address_that_can_t_be_had_is_said_clearly(host, port, why):
    with pytest.raises(EnvironmentProblem, match=f"Can't listen on {host}:{port}: {why}"):
        bind(host, port)


async def test_an_application_that_fails_to_start_ends_the_block():
    @asynccontextmanager
    async def lifespan(_):
        raise OSError("no disk")
        yield

    with pytest.raises(EnvironmentProblem, match="did not start"):
        async with http_server(Starlette(lifespan=lifespan), bind("127.0.0.1", 0), lifespan="on"):
            pass


async def test_an_open_request_is_finished_before_the_server_ends():
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        entered.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with httpx.AsyncClient() as client:
        async with http_server(app, bind("127.0.0.1", 0)) as port:
            answer = asyncio.create_task(client.get(f"http://127.0.0.1:{port}"))
            await entered.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert (await answer).status_code == 204


async def test_signal_handlers_stay_the_process_s_own():

    before = signal.getsignal(signal.SIGTERM)
    async with http_server(Starlette(), bind("127.0.0.1", 0)):
        assert signal.getsignal(signal.SIGTERM) is before
