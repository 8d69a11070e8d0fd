"""A TCP proxy on loopback that a test can cut, mend, silence and slow down: a network between us and a server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tests.services.server import free_port


class Proxy:
    """Stands before the server of a URL; `url` leads through it.

    Attributes:
        delay: seconds that every byte of the server's waits on its way to the client.
        carried: octets that went to the server.
    """

    def __init__(self, url: str, *, host: str = "127.0.0.1") -> None:
        self._port = free_port()
        self._target = _target(url)
        self.url = _through(url, f"{host}:{self._port}")
        self.delay = 0.0
        self.carried = 0
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lead(self, url: str) -> None:
        """Lead new connections to another server; those there are stay where they are."""
        self._target = _target(url)

    async def mend(self) -> Self:
        """Let connections through."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence(self) -> None:
        """Keep every connection open and take new ones, and let nothing through: a network that drops packets."""
        self._flows.clear()

    def speak(self) -> None:
        """Let what was held go on."""
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            await self._flows.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers.add(far_writer)
            try:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer, back=True))
            finally:
                far_writer.transport.abort()
                self._writers.discard(far_writer)
        writer.transport.abort()
        self._writers.discard(writer)
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool = False) -> None:
        """What comes late keeps its place: a delay that ends lets nothing overtake what it still holds."""
        loop, late = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]](maxsize=1024)

        async def write() -> None:
            while True:
                due, data = await late.get()
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        async def read() -> None:
            while data := await reader.read(65536):
                await self._flows.wait()
                self.carried += 0 if back else len(data)
                await late.put((loop.time() + (self.delay if back else 0.0), data))
            await late.put((0.0, b""))

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(read())
                group.create_task(write())
        except* (OSError, RuntimeError):  # uvloop raises the latter for a transport that is closed
            pass
        with suppress(OSError):
            writer.close()


def _target(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 0


def _through(url: str, address: str) -> str:
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}{at}{address}"))
