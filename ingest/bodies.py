"""Bodies of requests, read within bounds of size and time, and of memory for all of them together.

Promises: a body is refused as soon as it is too large or too slow, without reading on; small ones never make way for
others; when the large ones on their way hold too much together, those that have been on their way longest are
answered 503. So whoever drips large bodies keeps no genuine one out: that one comes at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Message, Receive, Scope

from ingest.refusals import CROWDED, DISCONNECTED, TOO_LARGE, TOO_SLOW, Refusal

SMALL: Final = 64 * 1024
"""A connection's own buffers may hold as much, so a bound for less would bound nothing."""
WHOLE: Final = "kb.request.whole"
"""Among a request's ASGI extensions: its body is there, so that reading it takes no time and needs no deadline."""
TOGETHER: Final = 64 * 1024 * 1024


class Bodies:
    """Reads bodies of up to `limit` octets, `within` seconds each; the large ones hold `together` octets at most."""

    def __init__(self, *, limit: int, within: float, together: int = TOGETHER) -> None:
        self._limit = limit
        self._within = within
        self._together = max(together, 2 * limit)
        self._large: dict[asyncio.Timeout, int] = {}

    async def read(self, scope: Scope, declared: bytes, receive: Receive) -> bytes:
        """The whole body, as it came. `declared`: its length as the client said it, if it did. Raises `Refusal`."""
        if declared.isdigit() and int(declared[:20]) > self._limit:
            raise Refusal(TOO_LARGE)
        body = bytearray()
        if WHOLE in scope.get("extensions", ()):
            whole = _content(await receive())
            if len(whole) > self._limit:
                raise Refusal(TOO_LARGE)
            return whole
        deadline = asyncio.timeout(self._within)
        try:
            async with deadline:
                while await self._take(receive, body):
                    if len(body) > SMALL:
                        self._hold(deadline, len(body))
        except TimeoutError as error:
            displaced = len(body) > SMALL and deadline not in self._large
            raise Refusal(CROWDED if displaced else TOO_SLOW) from error
        finally:
            self._large.pop(deadline, None)
        return bytes(body)

    async def _take(self, receive: Receive, body: bytearray) -> bool:
        """The next part; whether there are more. Raises `Refusal`."""
        message = await receive()
        body += _content(message)
        if len(body) > self._limit:
            raise Refusal(TOO_LARGE)
        return bool(message.get("more_body", False))

    def _hold(self, deadline: asyncio.Timeout, octets: int) -> None:
        """Count it in; those that have been on their way longest are out of time while there is too much."""
        self._large[deadline] = octets
        held = sum(self._large.values())
        while held > self._together:
            oldest = next(iter(self._large))
            held -= self._large.pop(oldest)
            oldest.reschedule(asyncio.get_running_loop().time())


def _content(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise Refusal(DISCONNECTED)
    content: bytes = message.get("body", b"")
    return content
