"""Answers that go wrong on the way: the connection is reset, the answer is cut or stalls half way.

Only a server knows the connection: `Protocol` hands its transport to the application inside the request's scope. In a
test that calls the application without a socket, a reset and a cut raise ConnectionResetError instead.
"""

import asyncio
import contextlib
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "simulator.transport"
_DROP_AT_ONCE = struct.pack("ii", 1, 0)


class Protocol(HttpToolsProtocol):
    """uvicorn's own, whose requests know the connection they came on."""

    def on_message_begin(self) -> None:
        """A request begins: note its transport in its scope."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {TRANSPORT: self.transport}}


class Reset(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's
        """Reset the connection."""
        await _hang_up(scope, receive, reset=True)


class Cut(Response):
    """The head, half of the body, and then the connection ends; with `stall`, after so many seconds of silence."""

    def __init__(self, whole: Response, *, stall: float | None = None) -> None:
        super().__init__(whole.body, whole.status_code)
        self.raw_headers = whole.raw_headers
        self._stall = stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half, then hang up, or keep silent and send the rest."""
        middle = len(self.body) // 2
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body[:middle]), "more_body": True})
        if self._stall is None:
            await _hang_up(scope, receive, reset=False)
            return
        await asyncio.sleep(self._stall)
        await send({"type": "http.response.body", "body": bytes(self.body[middle:])})


async def _hang_up(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Drop the connection and return when it is gone, so that the server does not answer for us."""
    transport = scope.get("extensions", {}).get(TRANSPORT, {}).get(TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the simulator dropped the connection")
    if reset:
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_AT_ONCE)
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
