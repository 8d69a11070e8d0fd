"""HTTP servers: how uvicorn serves an application, alone in its process or among other tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from cli.connections import Bounded
from cli.output import Failed

KEEP_ALIVE_SECONDS: Final = 65
"""Longer than clients and proxies commonly keep an idle connection: whoever closes first should be the one who would
otherwise send the next request into a closing connection."""
DRAIN_SECONDS: Final = 6
"""How long answered-but-unfinished connections may take at a stop."""


def http_server(application: ASGIApp | str, *, workers: int = 1) -> uvicorn.Config:
    """How uvicorn serves: fast parser and loop, bounded connections, no access log, a graceful stop with an end."""
    return uvicorn.Config(
        application,
        workers=workers,
        factory=isinstance(application, str),
        loop="uvloop",
        http=Bounded,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def listener(host: str, port: int, *, of: str = "INGEST") -> socket.socket:
    """A bound socket. Raises `Failed` when the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # said to be TCP outright, or asyncio leaves Nagle's algorithm on and an answer in two writes waits 40 ms
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Failed(f"{host}:{port} cannot be listened on ({why}); choose another {of}_HOST or {of}_PORT") from error
    bound.set_inheritable(True)
    return bound


class Server(uvicorn.Server):
    """A server that is the whole program: a signal ends it in good order, which is no failure."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in the base, but the signal is not raised once more when everything is done."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class InProcessServer(uvicorn.Server):
    """A server among other tasks: signals are the process's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


@contextlib.asynccontextmanager
async def serving(application: ASGIApp, *, host: str, port: int, of: str = "INGEST") -> AsyncIterator[None]:
    """Serve while inside, and stop gracefully."""
    bound = listener(host, port, of=of)
    server = InProcessServer(http_server(application))
    task = asyncio.create_task(server.serve(sockets=[bound]), name=of.lower())
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        yield
    finally:
        if (live := getattr(getattr(application, "state", None), "live", None)) is not None:
            live.close()  # its streams would never end by themselves
        server.should_exit = True
        await asyncio.wait([task], timeout=DRAIN_SECONDS + 2)
        bound.close()


def keep_loaded() -> None:
    """Let the garbage collector pass over what is loaded by now, for good: going through it all takes 50 ms each time,
    in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
