"""Receiving from RabbitMQ: a `Subscription` on a channel of its own, made anew on each link.

Settling a delivery of an old link does nothing; the broker hands it out again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import structlog
from aio_pika.abc import AbstractChannel

from events import frames
from events.amqp import CALL_SECONDS, Link, count, handed_out, line, translated
from events.bus import ATTEMPT, MARKS, REASON, Delivery, marks
from events.envelope import CONTENT_TYPE
from events.frames import Handed, Settled
from events.publishing import Outgoing
from events.topology import EXCHANGE, Queue
from events.wire import Message

AGAIN_SECONDS: Final = 0.1

log = structlog.get_logger()


class Links(Protocol):
    """Who has the connection, see `rabbitmq.RabbitMQ`."""

    @property
    def present(self) -> Link | None:
        """The link, if there is one now."""

    async def link(self) -> Link:
        """The present link, or the next one; waits for as long as it takes."""


@dataclass(slots=True, eq=False)
class _Channel:
    """One channel from its opening to its end. `unsettled`: the tags in hand, in the order in which they came."""

    link: Link
    amqp: AbstractChannel
    number: int
    unsettled: dict[int, None] = field(default_factory=dict)


class RabbitSubscription:
    """A `Subscription`, see the module."""

    def __init__(self, links: Links, queue: Queue | Sequence[str], *, prefetch: int, dead: bool = False) -> None:
        self._links = links
        self._dead = dead
        self._queue = queue
        self._prefetch = prefetch
        self._arrived: deque[Delivery] = deque()
        self._some = asyncio.Event()
        self._channel: _Channel | None = None
        self.expected = 0
        self.consuming = asyncio.Event()
        self._supervisor = asyncio.create_task(self._supervise(), name="rabbitmq subscription")

    @property
    def active(self) -> bool:
        """See `Subscription.active`."""
        return self.consuming.is_set()

    async def receive(self, *, limit: int, within: float) -> Sequence[Delivery]:
        """See `Subscription.receive`."""
        if not self._arrived:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while not self._arrived:  # another receiver may have been quicker
                        self._some.clear()
                        await self._some.wait()
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.ack`: one frame for all up to the first that stays in hand, and one for each beyond."""
        channel = self._channel
        if channel is None or channel.amqp.is_closed:
            return
        done = {tag for whose, tag in map(_token, deliveries) if whose is channel and tag in channel.unsettled}
        if not done:
            return
        async with translated(CALL_SECONDS):
            await channel.link.wire.write(b"".join(_acks(channel, done)))
        for tag in done:
            channel.unsettled.pop(tag, None)

    async def retry(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.retry`."""
        assert isinstance(self._queue, Queue)  # noqa: S101  a tail has nothing to retry
        headers = {ATTEMPT: delivery.attempt + 1, REASON: reason}
        await self._move(delivery, self._queue.retry(delivery.attempt - 1), headers)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.dead_letter`."""
        assert isinstance(self._queue, Queue)  # noqa: S101  a tail has nothing to dead-letter
        await self._move(delivery, self._queue.dead, marks(delivery, self._queue, reason))

    async def revive(self, delivery: Delivery) -> None:
        """See `Subscription.revive`."""
        assert isinstance(self._queue, Queue)  # noqa: S101  a tail has nothing dead
        await self._move(delivery, self._queue.name, dict.fromkeys(MARKS))

    async def _move(self, delivery: Delivery, queue: str, headers: Mapping[str, object]) -> None:
        link = self._links.present
        if link is None or _token(delivery)[0] is not self._channel:
            return  # of an old link: it is handed out again
        content_type = str(delivery.headers.get(CONTENT_TYPE))
        moved = Outgoing("", queue, content_type, _ours({**delivery.headers, **headers}), delivery.body)
        await link.publisher.publish([moved], within=CALL_SECONDS)
        await self.ack([delivery])

    async def close(self) -> None:
        """See `Subscription.close`: closing the channel hands back what was not settled."""
        self._supervisor.cancel()
        await asyncio.gather(self._supervisor, return_exceptions=True)

    async def _supervise(self) -> None:
        while True:
            link = await self._links.link()
            gone = asyncio.Event()
            amqp: AbstractChannel | None = None
            try:
                amqp = link.connection.channel()
                async with asyncio.timeout(CALL_SECONDS):
                    await self._consume(link, amqp, gone)
                await gone.wait()
            except Exception as error:  # whatever it is: without this task nothing would ever come back
                log.warning("rabbitmq.subscription_lost", queue=str(self._queue), error=line(error))
                link.broken.set()
            finally:
                self.consuming.clear()
                if self._channel is not None:
                    link.wire.release(self._channel.number)
                self._channel = None
                self._arrived.clear()  # the broker hands them out again
                if amqp is not None:
                    with suppress(Exception):
                        async with asyncio.timeout(1):
                            await amqp.close()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _consume(self, link: Link, amqp: AbstractChannel, gone: asyncio.Event) -> None:
        await amqp.initialize()
        amqp.close_callbacks.add(lambda *_: gone.set())
        await amqp.set_qos(prefetch_count=self._prefetch)
        if isinstance(self._queue, Queue):
            queue = await amqp.get_queue(self._queue.dead if self._dead else self._queue.name, ensure=True)
            self.expected = queue.declaration_result.message_count or 0
        else:
            queue = await amqp.declare_queue(exclusive=True, auto_delete=True, arguments={"x-max-length": 10_000})
            for pattern in self._queue:
                await queue.bind(EXCHANGE, pattern)
        underlay = await amqp.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda *_: gone.set())
        channel = self._channel = _Channel(link, amqp, underlay.number)
        link.wire.claim(channel.number, lambda what: self._arrive(channel, what))
        await underlay.basic_consume(queue.name, _unclaimed)
        self.consuming.set()

    def _arrive(self, channel: _Channel, what: Message | Settled) -> None:
        match what:
            case Message(Handed(tag), content, body):
                channel.unsettled[tag] = None
                headers = content.headers
                headers[CONTENT_TYPE] = content.content_type
                attempt, deliveries = count(headers.get(ATTEMPT), 1), handed_out(headers)
                self._arrived.append(
                    Delivery(headers=headers, body=body, attempt=attempt, deliveries=deliveries, token=(channel, tag))
                )
                self._some.set()


def _token(delivery: Delivery) -> tuple[_Channel, int]:
    return cast("tuple[_Channel, int]", delivery.token)


def _ours(headers: Mapping[str, object]) -> dict[str, str | int]:
    """Without what the broker adds, and without the content type, which is a property."""
    return {
        name: value
        for name, value in headers.items()
        if name != CONTENT_TYPE and not name.startswith("x-") and isinstance(value, str | int)
    }


def _acks(channel: _Channel, done: set[int]) -> Iterator[bytes]:
    stays = next((tag for tag in channel.unsettled if tag not in done), None)
    through = max((tag for tag in done if stays is None or tag < stays), default=None)
    if through is not None:
        yield frames.ack(channel=channel.number, tag=through, multiple=True)
    if stays is not None:
        for tag in done:
            if tag > stays:
                yield frames.ack(channel=channel.number, tag=tag)


async def _unclaimed(_message: object) -> None:
    raise AssertionError("what is handed out on a claimed channel never reaches the library")
