"""The review desk's process: ``python -m orchestration.reviews.service``.

Serves the HTTP API and announces what waits. It decides nothing, so any number may run.
"""

import asyncio
import sys

import structlog

from adapters.health import health_app, serve_health
from adapters.ledger import migrate
from adapters.metrics import PrometheusMetrics
from adapters.processes.run_file import stop_requested
from adapters.profile import connected
from adapters.run_process import run_process
from adapters.webhook import Webhook
from domain.producers import Producer
from domain.settings import Settings
from orchestration.reviews.desk import ReviewDesk
from orchestration.reviews.http_api import review_app
from orchestration.reviews.notices import Announcer

PROCESS = "review"

_log = structlog.get_logger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    review, metrics = settings.review, PrometheusMetrics()
    secret = review.webhook_secret.get_secret_value()
    webhook = Webhook(review.webhook_url, secret) if review.webhook_url else None
    desk = ReviewDesk(settings)
    announcer = Announcer(
        desk, desk.tables, metrics, webhook=webhook, attempts=review.webhook_attempts
    )
    app = review_app(desk, *health_app(metrics, lambda: announcer.problems).routes)
    host, port = settings.serving.host, settings.platform.review_port
    try:
        with stop_requested() as stop:
            async with serve_health(app, host, port, home=settings.home, process=PROCESS):
                announcing = asyncio.create_task(announcer.run())
                stopping = asyncio.create_task(stop.wait())
                # Announcing ends only by a fault, and must not fail unnoticed.
                await asyncio.wait({announcing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                announcing.cancel()
                stopping.cancel()
                await asyncio.wait({announcing, stopping})
                if not announcing.cancelled():
                    announcing.result()
    finally:
        await desk.close()
        if webhook is not None:
            await webhook.close()


def main() -> int:
    """Run the process; returns its exit code."""
    return run_process(PROCESS, _run)


def _run(settings: Settings) -> None:
    with connected(settings, servers=("valkey", "postgres"), producer=Producer.OPERATOR) as ready:
        migrate(ready.ledger_url.get_secret_value())
        asyncio.run(serve(ready))


if __name__ == "__main__":
    sys.exit(main())
