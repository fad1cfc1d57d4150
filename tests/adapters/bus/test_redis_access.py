"""What each producer's user may do, asked of a real server."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from adapters.bus import RedisBus
from adapters.bus.redis_access import access_list
from adapters.embedded import EmbeddedServers, Endpoints
from adapters.embedded.bus_users import BusUsers
from adapters.embedded.programs import find_valkey
from adapters.profile import acting_as, connected
from domain.errors import EnvironmentProblem
from domain.producers import AGENTS, READS, TRIMS, WRITES, Producer
from domain.settings import Settings
from domain.streams import Stream
from orchestration.live_plane import PRODUCERS, process_specs
from tests.builders import vote

DEPLOYED = Path(__file__).parents[3] / "deploy" / "valkey" / "users.acl"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="quorum-access-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def valkey(home: Path) -> Iterator[Endpoints]:
    with EmbeddedServers(home, ["valkey"]) as endpoints:
        yield endpoints


@pytest.fixture
def as_user(home: Path, valkey: Endpoints) -> Iterator[Callable[[Producer], redis.Redis]]:
    users = BusUsers.read(home / "servers")
    assert users is not None
    clients: list[redis.Redis] = []

    def connect(producer: Producer) -> redis.Redis:
        clients.append(redis.Redis.from_url(users.url(producer)))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def refused(call: Callable[..., object], *arguments: object) -> bool:
    try:
        call(*arguments)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.exceptions.ResponseError:
        return False
    return False


@pytest.mark.parametrize("producer", Producer)
def test_each_adds_to_its_own_streams_alone(producer: Producer, as_user):
    client = as_user(producer)
    allowed = {s for s in Stream if not refused(client.xadd, f"quorum:{s}:0", {"data": b"x"})}
    assert allowed == WRITES[producer]


@pytest.mark.parametrize("producer", Producer)
def test_each_reads_its_own_streams_alone(producer: Producer, as_user, valkey: Endpoints):
    with redis.Redis.from_url(valkey.bus_url) as owner:
        for stream in Stream:
            owner.xadd(f"quorum:{stream}:0", {"data": b"x"})
    client = as_user(producer)
    keys = {s: f"quorum:{s}:0" for s in Stream}
    assert {s for s in Stream if not refused(client.xrange, keys[s])} == READS[producer]
    assert {s for s in Stream if not refused(client.xread, {keys[s]: "0"})} == READS[producer]


@pytest.mark.parametrize("producer", Producer)
def test_nobody_empties_trims_or_configures(producer: Producer, as_user):
    client = as_user(producer)
    for command in (
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "appendonly", "no"),
        ("DEL", "quorum:votes:0"),
        ("XDEL", "quorum:votes:0", "1-0"),
        ("XSETID", "quorum:votes:0", "999-0"),
        ("RENAME", "quorum:votes:0", "gone"),
        ("SET", "quorum:votes:0", "x"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("EVAL", "return redis.call('XADD', 'quorum:decisions:0', '*', 'data', 'x')", "0"),
        ("ACL", "LIST"),
        ("SHUTDOWN",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("KEYS", "*"),
        ("SUBSCRIBE", "x"),
    ):
        script_may = command[0] == "EVAL" and Stream.DECISIONS in WRITES[producer]
        if not (script_may and "XADD" in command[1]):
            with pytest.raises(redis.exceptions.ResponseError, match=r"NOPERM|permission|ACL"):
                client.execute_command(*command)
    moved = {s for s in Stream if not refused(client.xgroup_destroy, f"quorum:{s}:0", "g")}
    assert moved == (READS[producer] if producer in TRIMS else frozenset())
    trimmed = {s for s in Stream if not refused(client.xtrim, f"quorum:{s}:0", 0)}
    assert trimmed == TRIMS.get(producer, frozenset())
    assert not (producer in AGENTS and trimmed)


def test_without_a_password_nobody_comes_in(valkey: Endpoints):
    socket = valkey.bus_url.partition("@")[2].partition("?")[0]
    with (
        redis.Redis.from_url(f"unix://{socket}") as client,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        client.ping()
    with (
        redis.Redis.from_url(f"unix://consensus:guessed@{socket}") as client,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        client.ping()


async def test_an_agent_s_bus_votes_and_can_not_decide(home: Path, valkey: Endpoints):
    users = BusUsers.read(home / "servers")
    assert users is not None
    bus = RedisBus(users.url(Producer.RISK_MANAGER))
    await bus.publish(Stream.VOTES, 0, vote())
    await bus.publish_raw(Stream.DEAD_LETTERS, 0, b"letter")
    await bus.consume("agent.risk_manager", "a", [(Stream.PROPOSALS, 0)], wait_ms=1)
    await bus.read(Stream.MARKET, 0)
    await bus.backlog("agent.risk_manager", Stream.PROPOSALS, 0)
    with pytest.raises(EnvironmentProblem, match=r"refused: .*permission"):
        await bus.publish(Stream.DECISIONS, 0, vote())
    with pytest.raises(EnvironmentProblem, match=r"refused: .*permission"):
        await bus.publish_many(Stream.DECISIONS, 0, [vote()], first_sequence=1)
    await bus.close()


def test_passwords_are_private_and_new_at_the_next_start(tmp_path: Path):
    home = Path(tempfile.mkdtemp(prefix="quorum-access-"))
    home.chmod(0o711)
    try:
        with EmbeddedServers(home, ["valkey"]) as first:
            file = home / "servers" / "bus-users.json"
            assert file.stat().st_mode & 0o777 == 0o600
            access = home / "servers" / "state" / "valkey" / "users.acl"
            users = BusUsers.read(home / "servers")
            assert users is not None
            assert not any(secret in access.read_text() for secret in users.passwords.values())
            assert access.stat().st_mode & 0o777 == 0o600
        assert not file.exists()
        with EmbeddedServers(home, ["valkey"]) as second:
            assert second.bus_url != first.bus_url
    finally:
        shutil.rmtree(home)


def test_every_process_gets_its_own_user_and_no_other_password(home: Path, valkey: Endpoints):
    users = BusUsers.read(home / "servers")
    assert users is not None
    settings = Settings(home=home, bus_url=valkey.bus_url)
    for spec in process_specs(settings):
        producer = PRODUCERS[spec.name]
        assert spec.environment["QUORUM_BUS_URL"] == users.url(producer)
        others = [p for name, p in users.passwords.items() if name != producer]
        assert not any(p in value for p in others for value in spec.environment.values())
    with connected(Settings(home=home), servers=["valkey"], producer=Producer.OPERATOR) as settings:
        assert settings.bus_url == users.url(Producer.OPERATOR)


def test_a_bus_of_yours_is_used_as_you_say(home: Path, valkey: Endpoints):
    settings = Settings(home=home, bus_url="redis://consensus@bus:6379/0")
    assert acting_as(settings, Producer.GATEWAY) is settings


def test_the_deployed_list_is_made_from_the_table():
    said = "run: python -m adapters.bus.redis_access > deploy/valkey/users.acl"
    assert DEPLOYED.read_text() == access_list({}), said


def test_the_deployed_list_loads_and_lets_in_who_has_a_password(tmp_path: Path):
    folder = Path(tempfile.mkdtemp(prefix="quorum-acl-"))
    socket = folder / "s"
    shutil.copy(DEPLOYED, folder / "users.acl")
    line = next(x for x in DEPLOYED.read_text().splitlines() if x.startswith("user execution "))
    text = DEPLOYED.read_text().replace(line, line.replace("resetpass", ">a-secret"))
    (folder / "users.acl").write_text(text)
    server = subprocess.Popen(
        [find_valkey(), "--port", "0", "--unixsocket", socket, "--aclfile", "users.acl"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not socket.exists():
            assert server.poll() is None
            time.sleep(0.01)
        with redis.Redis.from_url(f"unix://execution:a-secret@{socket}") as client:
            client.xadd("quorum:votes:0", {"data": b"x"})
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.xadd("quorum:decisions:0", {"data": b"x"})
        with (
            redis.Redis.from_url(f"unix://consensus:@{socket}") as client,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            client.ping()
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)
