"""Writes of one turn of the loop, sent as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Corked:
    """A transport whose writes of one turn of the loop go out as one: uvicorn writes an answer's head and body apart,
    which are two system calls and two segments for what is a few hundred octets. `lingers` says whether `close` leaves
    the client's side open.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, lingers: Callable[[], bool]
    ) -> None:
        self._transport, self._loop, self._lingers = transport, loop, lingers
        self._held: list[bytes] = []
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing is to be written any more."""
        return self._ended or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send it at the end of this turn."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def _flush(self) -> None:
        held, self._held = b"".join(self._held), []
        if held and not self.is_closing():  # the client may have gone within the turn, and nobody would catch the error
            self._transport.write(held)

    def close(self) -> None:
        """Send what is held, and close."""
        self._flush()
        lingers, self._ended = self._lingers(), True
        if lingers:
            self._transport.write_eof()
        else:
            self._transport.close()
