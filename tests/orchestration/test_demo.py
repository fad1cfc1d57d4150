"""What the demo says of the servers that it runs on."""

import pytest

from domain.settings import Settings
from orchestration.demo import _servers


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "Start PostgreSQL and Valkey"),
        ("amqp://quorum@localhost/", "Start PostgreSQL, reach RabbitMQ"),
        ("redis://localhost:6379", "Start PostgreSQL, reach the named Redis or Valkey"),
    ],
)
def test_the_servers_that_run_are_named(url: str, said: str):
    assert _servers(Settings(bus_url=url)) == said
