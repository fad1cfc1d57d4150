"""The connection to Redis: answers in order, whoever asks, and errors that say what to do."""

import asyncio

import pytest

from adapters.bus.redis_address import RedisAddress
from adapters.bus.redis_connection import ConnectionLost, RefusedByServer, open_connection
from domain.errors import ConfigurationError


@pytest.fixture
async def connect(valkey):
    opened = []

    async def open_one(url=valkey.bus_url, **options):
        opened.append(await open_connection(RedisAddress.of(url), **options))
        return opened[-1]

    yield open_one
    for connection in opened:
        await connection.end()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", ("localhost", 6379, "", "", "", 0, False)),
        ("redis://:secret@bus:6380/3", ("bus", 6380, "", "", "secret", 3, False)),
        ("rediss://ada:p%40ss@bus", ("bus", 6379, "", "ada", "p@ss", 0, True)),
        ("unix:///run/a%20b.sock?db=2&password=x", ("", 6379, "/run/a b.sock", "", "x", 2, False)),
    ],
)
def test_addresses(url, expected):
    assert RedisAddress.of(url)[:7] == expected


@pytest.mark.parametrize("url", ["http://bus", "redis://bus/x", "redis://bus:port"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigurationError):
        RedisAddress.of(url)


def test_an_address_is_shown_without_its_password():
    for url in ("rediss://ada:secret@bus:1/2", "unix:///s?password=secret"):
        assert "secret" not in str(RedisAddress.of(url))


async def test_each_caller_gets_its_own_answer(connect):
    connection = await connect()
    calls = [connection.call("ECHO", f"{n}") for n in range(500)]
    assert await asyncio.gather(*calls) == [b"%d" % n for n in range(500)]


async def test_who_is_cancelled_takes_nobody_elses_answer(connect):
    connection = await connect()
    tasks = [asyncio.create_task(connection.call("ECHO", f"{n}")) for n in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1::2] == [b"%d" % n for n in range(1, 100, 2)]
    assert all(isinstance(a, asyncio.CancelledError) for a in answers[::2])
    assert await connection.call("PING") == b"PONG"


async def test_a_refusal_is_the_answer_of_its_command_only(connect):
    connection = await connect()
    before, refused, behind = await connection.send(("PING",), ("XADD", "key"), ("PING",))
    assert (before, behind) == (b"PONG", b"PONG")
    assert isinstance(refused, RefusedByServer)
    with pytest.raises(RefusedByServer, match="wrong number"):
        await connection.call("XADD", "key")


async def test_what_is_asked_of_a_stream_that_is_gone_is_answered_with_none(connect):
    connection = await connect()
    key = "stream-that-was-never-there"
    assert await connection.ask("XINFO", "STREAM", key) is None
    assert await connection.ask("XPENDING", key, "group") is None
    with pytest.raises(RefusedByServer):
        await connection.ask("XINFO", "NONSENSE", key)


async def test_large_answers_come_whole(connect):
    connection = await connect()
    large = bytes(range(256)) * 20_000
    assert await asyncio.gather(*(connection.call("ECHO", large) for _ in range(3))) == [large] * 3


async def test_a_connection_that_was_cut_fails_its_calls_and_those_after(connect):
    connection, other = await connect(), await connect()
    identity = await connection.call("CLIENT", "ID")
    waiting = asyncio.ensure_future(connection.send(("BLPOP", "no-such-list", 0), blocks=60))
    await other.call("CLIENT", "KILL", "ID", identity)
    with pytest.raises(ConnectionLost):
        await waiting
    assert not connection.is_open
    with pytest.raises(ConnectionLost):
        await connection.call("PING")


async def test_a_server_that_is_silent_for_too_long_is_given_up(connect):
    connection = await connect(patience_seconds=0.1)
    with pytest.raises(ConnectionLost):
        await connection.call("BLPOP", "no-such-list", 0)


async def test_who_we_are_is_told_first(connect, valkey):
    owner = await connect()
    await owner.call("ACL", "SETUSER", "ada", "on", ">secret", "+@all", "~*")
    nobody = f"unix://{valkey.bus_url.partition('@')[2]}"
    ada = await connect(f"{nobody}&username=ada&password=secret&db=2")
    assert await ada.call("ACL", "WHOAMI") == b"ada"
    assert b"db=2" in await ada.call("CLIENT", "INFO")
    with pytest.raises(RefusedByServer, match="WRONGPASS"):
        await connect(f"{nobody}&username=ada&password=wrong")
    await owner.call("ACL", "DELUSER", "ada")


async def test_nobody_there_is_told(connect):
    with pytest.raises(ConnectionLost):
        await connect("unix:///tmp/no-such-quorum.sock")
