"""The octets of a connection to RabbitMQ, past the library where they come by the thousand.

The library makes the connection and keeps it: TLS, login, heartbeats, channels, everything that is asked and answered.
What is handed out, returned and confirmed on a claimed channel goes to its owner, in the turn of the loop in which it
came; the library never sees it. Whatever cannot be understood is the library's, which ends the connection for it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, SupportsIndex

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from events import frames
from events.frames import Content, Handed, Returned, Settled

SIGN_OF_LIFE_SECONDS: Final = 1.0
"""The library takes a connection for dead on which it hears nothing: this often it hears of what we took."""
KINDS: Final = frozenset({frames.METHOD, frames.HEADER, frames.BODY, frames.HEARTBEAT})
NOT_UNDERSTOOD: Final = (ValueError, IndexError, struct.error)


class Message(NamedTuple):
    """A whole content with the method that began it."""

    method: Handed | Returned
    content: Content
    body: bytes


Owner = Callable[[Message | Settled], None]
"""It must not raise: the connection would end with it."""


class Wire(TransportFactory):
    """Makes one connection's transport, see the module."""

    def __init__(self) -> None:
        self._claims: dict[int, _Claim] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, as the library would."""
        provider, loop = kwargs.pop("ssl_context_provider"), asyncio.get_running_loop()
        tls = await provider.get_context() if url.scheme == "amqps" else None
        reader = _Tap(self._claims, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "", url.port or 0, ssl=tls, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return reader, self._writer

    def claim(self, channel: int, owner: Owner) -> None:
        """What comes on this channel is the owner's."""
        self._claims[channel] = _Claim(owner)

    def release(self, channel: int) -> None:
        """It is the library's again."""
        self._claims.pop(channel, None)

    async def write(self, octets: bytes) -> None:
        """Send whole frames; waits while the socket is full. Raises `OSError` or `RuntimeError` when it is gone."""
        assert self._writer is not None  # noqa: S101  a channel was opened on it
        self._writer.write(octets)
        await self._writer.drain()


class _Claim:
    """One channel's owner, and what of a message is there."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._method: Handed | Returned | None = None
        self._content: Content | None = None
        self._parts: list[bytes] = []
        self._left = 0

    def take(self, kind: int, payload: bytes) -> bool:
        """Whether a frame is the owner's. Raises one of `NOT_UNDERSTOOD`."""
        if kind == frames.METHOD:
            method = frames.told(payload)
            if isinstance(method, Settled):
                self._owner(method)
            else:
                self._method, self._content, self._parts = method, None, []
            return method is not None
        if self._method is None:
            return False
        if kind == frames.HEADER:
            self._content = frames.content(payload)
            self._left = self._content.size
        else:
            self._parts.append(payload)
            self._left -= len(payload)
        if self._content is not None and self._left <= 0:
            whole = Message(self._method, self._content, b"".join(self._parts))
            self._method = None
            self._owner(whole)
        return True


class _Tap(asyncio.StreamReader):
    """What the library reads from: all that came, without what was claimed."""

    def __init__(self, claims: Mapping[int, _Claim], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._claims = claims
        self._clock = loop.time
        self._fed_at = loop.time()
        self._rest = b""
        self._understood = True

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """What the socket had."""
        octets = self._rest + bytes(data)
        at = passed = 0
        kept: list[bytes] = []
        while self._understood and len(octets) - at >= frames.HEAD.size:
            kind, channel, size = frames.HEAD.unpack_from(octets, at)
            end = at + frames.OVERHEAD + size
            if kind in KINDS and end > len(octets):
                break
            if kind not in KINDS or octets[end - 1] != frames.END[0]:
                self._understood = False
            elif (claim := self._claims.get(channel)) is not None:
                try:
                    taken = claim.take(kind, octets[at + frames.HEAD.size : end - 1])
                except NOT_UNDERSTOOD:
                    self._understood, taken = False, False
                if taken:
                    kept.append(octets[passed:at])
                    passed = end
            at = end
        if not self._understood:
            at = len(octets)
        kept.append(octets[passed:at])
        self._rest = octets[at:]
        self._feed(b"".join(kept))

    def _feed(self, octets: bytes) -> None:
        now = self._clock()
        if not octets and now - self._fed_at > SIGN_OF_LIFE_SECONDS:
            octets = frames.STILL_ALIVE
        if octets:
            self._fed_at = now
            super().feed_data(octets)

    def feed_eof(self) -> None:
        """The socket's end: said by the peer, and once more when the transport is gone."""
        if rest := self._rest:
            self._rest = b""
            super().feed_data(rest)
        super().feed_eof()
