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
from typing import Final, NamedTuple, cast

from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError, PublishError

from events import frames
from events.envelope import CONTENT_TYPE
from events.errors import BusUnavailable, Nacked, Unroutable

MOST_OCTETS: Final = 256 * 1024
"""Of one write. With more at a time, the first would wait for the last to be encoded."""


class Outgoing(NamedTuple):
    """One message: where it goes, and what it is."""

    exchange: str
    key: str
    headers: Mapping[str, object]
    body: bytes


class Publisher:
    """See the module."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[tuple[Outgoing, asyncio.Future[object]]] = deque()
        self._open: set[asyncio.Future[object]] = set()
        self._some = asyncio.Event()
        self._writer = asyncio.create_task(self._write(), name="rabbitmq publisher")

    @classmethod
    async def on(cls, channel: AbstractChannel) -> Publisher:
        """A publisher that has this open channel to itself."""
        return cls(cast("Channel", await channel.get_underlay_channel()))

    async def publish(self, messages: Sequence[Outgoing], *, within: float) -> None:
        """Store these messages.

        Raises:
            Unroutable: no queue is bound for one of them.
            Nacked: the broker refused one of them.
            BusUnavailable: the channel is gone, or the broker silent for that many seconds; they may be stored all the
                same.
        """
        if self._writer.done():
            raise BusUnavailable("the channel to RabbitMQ is gone")
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in messages]
        late = loop.call_later(within, _fail, futures, f"RabbitMQ did not answer within {within:g} s")
        self._open.update(futures)
        self._waiting.extend(zip(messages, futures, strict=True))
        self._some.set()
        try:
            await (futures[0] if len(futures) == 1 else asyncio.gather(*futures))
        except PublishError as error:
            raise Unroutable(f"no queue is bound for {error.args[1]!r}; was a binding removed?") from error
        except DeliveryError as error:
            raise Nacked("RabbitMQ refused the message: a queue is full or has no majority") from error
        finally:
            late.cancel()
            self._open.difference_update(futures)

    async def _write(self) -> None:
        channel, create = self._channel, asyncio.get_running_loop().create_future
        while True:
            await self._some.wait()
            if octets := self._encoded():
                drained = create()
                frame = ChannelFrame(payload=octets, should_close=False, drain_future=drained)
                await channel.write_queue.put(frame)
                await drained

    def _encoded(self) -> bytes:
        """The next messages that somebody waits for, counted in."""
        parts: list[bytes] = []
        octets, channel, frame_max = 0, self._channel, self._channel.connection.connection_tune.frame_max
        while self._waiting and octets < MOST_OCTETS:
            (exchange, key, headers, body), future = self._waiting.popleft()
            if future.done():
                continue
            message_id = secrets.token_hex(16)
            try:
                part = frames.publish(
                    channel=channel.number, exchange=exchange, key=key, headers=_ours(headers), body=body,
                    content_type=str(headers.get(CONTENT_TYPE)), message_id=message_id, frame_max=frame_max,
                )  # fmt: skip
            except Exception as error:  # whatever is wrong with this one, the others go out
                future.set_exception(error)
                continue
            channel.delivery_tag += 1
            self._expect(channel.delivery_tag, message_id, future)
            octets += len(part)
            parts.append(part)
        if not self._waiting:
            self._some.clear()
        return b"".join(parts)

    def _expect(self, tag: int, message_id: str, future: asyncio.Future[object]) -> None:
        """The library settles the future when the broker confirms, refuses or returns the message."""
        numbers = self._channel.message_id_delivery_tag
        self._channel.confirmations[tag] = future
        numbers[message_id] = tag
        future.add_done_callback(lambda _: numbers.pop(message_id, None))

    def close(self) -> None:
        """Publish nothing more; whoever waits is told that nobody knows what became of it."""
        self._writer.cancel()
        self._waiting.clear()
        _fail(self._open, "the connection to RabbitMQ was lost")


def _fail(futures: Iterable[asyncio.Future[object]], why: str) -> None:
    for future in futures:
        if not future.done():  # an error of its own for each: a shared one would gather every caller's traceback
            future.set_exception(BusUnavailable(why))


def _ours(headers: Mapping[str, object]) -> dict[str, str | int]:
    """Without what the broker adds, and without the content type, which is a property."""
    return {
        name: value
        for name, value in headers.items()
        if name != CONTENT_TYPE and not name.startswith("x-") and isinstance(value, str | int)
    }
