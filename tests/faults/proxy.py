"""A network between a process and its server that delays, stalls, cuts and half-closes."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self

_CHUNK = 65_536
_RESET_ON_CLOSE = b"\x01\x00\x00\x00\x00\x00\x00\x00"


class Proxy:
    """Forwards connections from a TCP port of its own to a server's Unix socket.

    It runs in a thread with an event loop, so that tests may block.

    Parameters
    ----------
    server
        Path of the server's socket.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._flows = asyncio.Event()
        self._delay = 0.0
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._half_closed: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.port = 0
        self.connections = 0
        """How many were made so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def delay(self, seconds: float) -> None:
        """Have every piece of data take so long from now on."""
        self._delay = seconds

    def stall(self) -> None:
        """Let nothing through, in either direction; connections stay as they are."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def flow(self) -> None:
        """Let everything through again, what was held back first."""
        self._delay, self._refuses = 0.0, False
        self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        self._do(self._cut())

    def half_close(self) -> None:
        """End what the clients hear, not what they say."""
        self._do(self._half_close())

    def refuse(self) -> None:
        """Reset all connections, and every new one until `flow`."""
        self._refuses = True
        self.cut()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._flows.set()
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, hears: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(client)
        self._clients.add(client)
        if self._refuses:
            _reset(client)
            return
        try:
            answers, server = await asyncio.open_unix_connection(self._server)
        except OSError:
            _reset(client)
            return
        self._writers.add(server)
        for source, target in ((hears, server), (answers, client)):
            task = self._loop.create_task(self._forward(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flows.wait()
                if target not in self._half_closed:
                    target.write(data)
                    await target.drain()
            if target.can_write_eof():
                target.write_eof()
        except OSError:
            _reset(target)

    async def _cut(self) -> None:
        writers, self._writers, self._clients = self._writers, set(), set()
        for writer in writers:
            _reset(writer)

    async def _half_close(self) -> None:
        for client in self._clients:
            if not client.is_closing():
                self._half_closed.add(client)
                client.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection the hard way."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_INET and not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
