"""Publishing on one channel: what is published in one turn of the event loop is written in one go.

Promises: a publish ends when the broker confirmed every message of it, and raises when one was refused or returned;
messages are written in the order in which they were published; while the socket is full nothing is written to it, and
what nobody waits for any more never is. The channel is for nothing else, for confirms are matched by counting.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from events import frames
from events.errors import BusUnavailable, Nacked, Unroutable
from events.frames import Returned, Settled
from events.wire import Message, Wire

MOST_OCTETS: Final = 256 * 1024
"""Of one write. With more at a time, the first would wait for the last to be encoded."""
LOOK_SECONDS: Final = 0.05
"""Whose time is over is looked for this often, for all at once: a timer for each costs more than its frames."""


class Outgoing(NamedTuple):
    """One message: where it goes, and what it is."""

    exchange: str
    key: str
    content_type: str
    headers: Mapping[str, str | int]
    body: bytes


class Publisher:
    """See the module. `channel`: the number of an open channel in confirm mode on this wire, given to it alone."""

    def __init__(self, wire: Wire, channel: int, *, frame_max: int) -> None:
        self._wire = wire
        self._channel = channel
        self._frame_max = frame_max
        self._name = secrets.token_hex(8)
        self._written = 0
        self._settled_to = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        self._waiting: deque[tuple[Outgoing, asyncio.Future[None]]] = deque()
        self._open: dict[asyncio.Future[None], float] = {}
        self._look: asyncio.TimerHandle | None = None
        self._some = asyncio.Event()
        wire.claim(channel, self._heard)
        self._writer = asyncio.create_task(self._write(), name="rabbitmq publisher")

    async def publish(self, messages: Sequence[Outgoing], *, within: float) -> None:
        """Store these messages.

        Raises:
            Unroutable: no queue is bound for one of them.
            Nacked: the broker refused one of them.
            BusUnavailable: the channel is gone, or the broker silent for that many seconds or up to `LOOK_SECONDS`
                longer; they may be stored all the same.
        """
        if self._writer.done():
            raise BusUnavailable("the channel to RabbitMQ is gone")
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        futures: list[asyncio.Future[None]] = []
        for message in messages:
            future = loop.create_future()
            futures.append(future)
            self._open[future] = until
            self._waiting.append((message, future))
        self._some.set()
        if self._look is None:
            self._look = loop.call_later(LOOK_SECONDS, self._late, loop)
        try:
            await (futures[0] if len(futures) == 1 else asyncio.gather(*futures))
        finally:
            for future in futures:
                del self._open[future]

    def _late(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        _fail([future for future, until in self._open.items() if until <= now], "RabbitMQ did not answer in time")
        self._look = loop.call_later(LOOK_SECONDS, self._late, loop) if self._open else None

    async def _write(self) -> None:
        with suppress(OSError, RuntimeError):  # the connection is gone, and whoever supervises it says so
            while True:
                await self._some.wait()
                if octets := self._encoded():
                    await self._wire.write(octets)

    def _encoded(self) -> bytes:
        """The next messages that somebody waits for, counted in."""
        parts: list[bytes] = []
        octets = 0
        while self._waiting and octets < MOST_OCTETS:
            (exchange, key, content_type, headers, body), future = self._waiting.popleft()
            if future.done():
                continue
            tag = self._written + 1
            try:
                part = frames.publish(
                    channel=self._channel, exchange=exchange, key=key, headers=headers, body=body,
                    content_type=content_type, message_id=f"{self._name}{tag:016x}", frame_max=self._frame_max,
                )  # fmt: skip
            except Exception as error:  # whatever is wrong with this one, the others go out
                future.set_exception(error)
                continue
            self._written = tag
            self._unconfirmed[tag] = future
            octets += len(part)
            parts.append(part)
        if not self._waiting:
            self._some.clear()
        return b"".join(parts)

    def _heard(self, what: Message | Settled) -> None:
        """A confirm, a refusal, or a message that is returned: its confirm follows, and finds it settled."""
        match what:
            case Settled(tag, multiple, confirmed):
                for one in range(self._settled_to + 1, tag + 1) if multiple else (tag,):
                    future = self._unconfirmed.pop(one, None)
                    if future is None or future.done():
                        continue
                    if confirmed:
                        future.set_result(None)
                    else:
                        future.set_exception(Nacked("RabbitMQ refused the message: a queue is full or has no majority"))
                if multiple or tag == self._settled_to + 1:
                    self._settled_to = tag
            case Message(Returned(key), content):
                named, number = (content.message_id or "")[:16], (content.message_id or "")[16:]
                future = self._unconfirmed.pop(int(number, 16), None) if named == self._name else None
                if future is not None and not future.done():
                    future.set_exception(Unroutable(f"no queue is bound for {key!r}; was a binding removed?"))

    def close(self) -> None:
        """Publish nothing more; whoever waits is told that nobody knows what became of it."""
        self._writer.cancel()
        self._wire.release(self._channel)
        self._waiting.clear()
        _fail(self._open, "the connection to RabbitMQ was lost")


def _fail(futures: Iterable[asyncio.Future[None]], why: str) -> None:
    for future in futures:
        if not future.done():  # an error of its own for each: a shared one would gather every caller's traceback
            future.set_exception(BusUnavailable(why))
