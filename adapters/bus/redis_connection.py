"""One connection to a Redis or Valkey server: commands out, answers in, in order.

The client libraries cost more time on the way from bus to commit to bus than the server does;
this is hiredis on a protocol of asyncio, RESP 2. Calls of several tasks share the connection and
are pipelined. A caller that is cancelled leaves its answer to nobody; the others keep theirs.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import hiredis

from adapters.bus.redis_address import RedisAddress

Command = tuple[str | bytes | int, ...]
Reply: TypeAlias = Any  # what a command answers, its documentation says

_CONNECT_SECONDS = 3.0
_WATCH_SECONDS = 1.0
_NOT_ENOUGH: Any = object()
_NOT_THERE = ("ERR no such key", "NOGROUP")
_TRANSIENT = ("LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY ")


class ConnectionLost(OSError):
    """The server can't be reached, went away, or doesn't answer."""


class RefusedByServer(Exception):
    """The server answered with an error."""

    @property
    def is_transient(self) -> bool:
        """Whether the same command may succeed in a moment."""
        return str(self).startswith(_TRANSIENT)


# Its own annotation takes a tuple of one.
_packed = cast("Callable[[Command], bytes]", hiredis.pack_command)


class _Call(NamedTuple):
    """Commands that were sent together and wait for their answers."""

    expected: int
    answers: list[Reply]
    answered: asyncio.Future[list[Reply]]
    deadline: float


class RedisConnection(asyncio.Protocol):
    """Use `open_connection`.

    Parameters
    ----------
    patience_seconds
        How long an answer may take, beyond what a command says that it blocks.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = patience_seconds
        self._reader = hiredis.Reader(
            protocolError=ConnectionLost, replyError=RefusedByServer, notEnoughData=_NOT_ENOUGH
        )
        self._calls: deque[_Call] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, *commands: Command, blocks: float = 0) -> asyncio.Future[list[Reply]]:
        """Send commands at once; the future holds their answers, a refusal as an exception in it.

        Parameters
        ----------
        blocks
            Seconds that the server may take on purpose.

        Raises
        ------
        ConnectionLost
            If the connection is closed; the future raises it when that happens before all answers.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionLost("the connection is closed")
        answered: asyncio.Future[list[Reply]] = self._loop.create_future()
        deadline = self._loop.time() + self._patience + blocks
        self._calls.append(_Call(len(commands), [], answered, deadline))
        transport.write(b"".join(map(_packed, commands)))
        if self._watch is None:
            self._watch = self._loop.call_later(_WATCH_SECONDS, self._look)
        return answered

    async def call(self, *command: str | bytes | int) -> Reply:
        """Send one command and return its answer.

        Raises
        ------
        RefusedByServer, ConnectionLost
            If the server refuses it, or can't be asked.
        """
        (answer,) = await self.send(command)
        return accepted(answer)

    async def ask(self, *command: str | bytes | int) -> Reply | None:
        """Return what the server tells of a stream or its group; None where it is not there.

        Raises
        ------
        RefusedByServer, ConnectionLost
            If the server refuses it for another reason, or can't be asked.
        """
        (answer,) = await self.send(command)
        if isinstance(answer, RefusedByServer) and str(answer).startswith(_NOT_THERE):
            return None
        return accepted(answer)

    def close(self) -> None:
        """Close; what waits for an answer fails."""
        if self._transport is not None:
            self._transport.abort()

    async def end(self) -> None:
        """Close, and wait until it is done."""
        self.close()
        await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start (called by asyncio)."""
        # Not asserted: the transports of uvloop, on which BentoML serves, are no subclasses.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand answers to who waits for them (called by asyncio)."""
        reader, calls = self._reader, self._calls
        reader.feed(data)
        try:
            while (answer := reader.gets()) is not _NOT_ENOUGH:
                call = calls[0]
                call.answers.append(answer)
                if len(call.answers) == call.expected:
                    calls.popleft()
                    if not call.answered.done():
                        call.answered.set_result(call.answers)
        except ConnectionLost:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits (called by asyncio)."""
        self._ended.set()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._calls:
            answered = self._calls.popleft().answered
            if not answered.done():
                answered.set_exception(ConnectionLost(f"the connection was lost ({exc or 'end'})"))
                answered.exception()  # who was cancelled does not ask

    def _look(self) -> None:
        """Close a connection whose server has been silent for too long."""
        self._watch = None
        if not self._calls:
            return
        if self._calls[0].deadline < self._loop.time():
            self.close()
        else:
            self._watch = self._loop.call_later(_WATCH_SECONDS, self._look)


def accepted(answer: Reply) -> Reply:
    """Return an answer, or raise the refusal that it is."""
    if isinstance(answer, RefusedByServer):
        raise answer
    return answer


async def open_connection(
    address: RedisAddress, *, patience_seconds: float = 15.0
) -> RedisConnection:
    """Connect and log in.

    Raises
    ------
    ConnectionLost, RefusedByServer
        If the server can't be reached in time, or doesn't let us in.
    """
    loop = asyncio.get_running_loop()

    def protocol() -> RedisConnection:
        return RedisConnection(patience_seconds)

    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            if address.path:
                _, connection = await loop.create_unix_connection(protocol, address.path)
            else:
                _, connection = await loop.create_connection(
                    protocol, address.host, address.port, ssl=address.tls()
                )
            try:
                for command in address.greeting():
                    await connection.call(*command)
            except BaseException:
                connection.close()
                raise
    except OSError as problem:  # a time-out is one too
        raise ConnectionLost(str(problem) or "no answer") from problem
    return connection
