"""What every test may use."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from adapters.embedded import EmbeddedServers, Endpoints, erase
from adapters.ledger import migrate
from tests import rabbitmq_server

_databases = count(1)

# A machine with other work on it is no fault of the code: examples are bounded in number, not time.
settings.register_profile("quorum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quorum")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="Fail the run if a test is skipped.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        session.config.getoption("--no-skips")
        and reporter is not None
        and reporter.stats.get("skipped")
    ):
        reporter.write_line("A test was skipped, and --no-skips was given.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads or writes the user's state folder, or leaves a database elsewhere."""
    home = tmp_path / "quorum"
    monkeypatch.setenv("QUORUM_HOME", str(home))
    yield
    monkeypatch.undo()
    if (home / "servers").exists():
        erase(home)


@pytest.fixture(scope="session")
def servers() -> Iterator[Endpoints]:
    """Real servers of this test session, in a folder that their account can reach."""
    home = Path(tempfile.mkdtemp(prefix="quorum-tests-"))
    home.chmod(0o711)
    with EmbeddedServers(home) as endpoints:
        yield endpoints
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[rabbitmq_server.RabbitServer]:
    """One RabbitMQ for all tests of this worker."""
    if not rabbitmq_server.installed():
        pytest.skip(rabbitmq_server.MISSING)
    with rabbitmq_server.rabbitmq_running() as server:
        yield server


@pytest.fixture(scope="session")
def _migrated(servers: Endpoints) -> str:
    url = _new_database(servers.ledger_url, "migrated")
    migrate(url)
    return url


@pytest.fixture(scope="session")
def new_database(servers: Endpoints) -> Callable[[], str]:
    """Make a new database without any schema, and return its address."""
    return lambda: _new_database(servers.ledger_url, f"empty_{next(_databases)}")


@pytest.fixture
def empty_database(new_database: Callable[[], str]) -> str:
    """The address of a new database without any schema."""
    return new_database()


@pytest.fixture
def ledger_url(_migrated: str) -> str:
    """The address of a database at the newest schema, without a row."""
    with psycopg.connect(_migrated.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no append-only triggers
        tables = connection.execute(
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
            " WHERE schemaname IN ('ledger', 'projections') AND tablename <> 'alembic_version'"
        ).fetchone()
        connection.execute(f"TRUNCATE {tables[0]} RESTART IDENTITY")
    return _migrated


def _new_database(server_url: str, name: str) -> str:
    with psycopg.connect(server_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    head, query = server_url.split("?", 1)
    return f"{head.rpartition('/')[0]}/{name}?{query}"
