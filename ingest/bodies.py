"""Bodies of requests, read within bounds of size and time, and of memory for all of them together.

Promises: a body is refused as soon as it is too large or too slow, without reading on; small ones never make way for
others; when the large ones on their way hold too much together, those that have been on their way longest are
answered 503. So whoever drips large bodies keeps no genuine one out: that one comes at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from ingest.refusals import CROWDED, DISCONNECTED, TOO_LARGE, TOO_SLOW, Refusal

SMALL: Final = 64 * 1024
"""A connection's own buffers may hold as much, so a bound for less would bound nothing."""
TOGETHER: Final = 64 * 1024 * 1024


class Bodies:
    """Reads bodies of up to `limit` octets, `within` seconds each; the large ones hold `together` octets at most."""

    def __init__(self, *, limit: int, within: float, together: int = TOGETHER) -> None:
        self._limit = limit
        self._within = within
        self._together = max(together, 2 * limit)
        self._large: dict[asyncio.Timeout, int] = {}

    async def read(self, request: Request) -> bytes:
        """The whole body, as it came. Raises `Refusal`."""
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._limit:
            raise Refusal(TOO_LARGE)
        body, deadline, displaced = bytearray(), asyncio.timeout(self._within), False
        try:
            async with deadline:
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._limit:
                        raise Refusal(TOO_LARGE)
                    if len(body) > SMALL:
                        self._hold(deadline, len(body))
        except TimeoutError as error:
            displaced = len(body) > SMALL and deadline not in self._large
            raise Refusal(CROWDED if displaced else TOO_SLOW) from error
        except ClientDisconnect as error:
            raise Refusal(DISCONNECTED) from error
        finally:
            self._large.pop(deadline, None)
        return bytes(body)

    def _hold(self, deadline: asyncio.Timeout, octets: int) -> None:
        """Count it in; those that have been on their way longest are out of time while there is too much."""
        self._large[deadline] = octets
        held = sum(self._large.values())
        while held > self._together:
            oldest = next(iter(self._large))
            held -= self._large.pop(oldest)
            oldest.reschedule(asyncio.get_running_loop().time())
