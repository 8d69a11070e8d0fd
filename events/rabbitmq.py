"""RabbitMQ: the bus on a real broker. It keeps the promises of `bus.py`; `amqp.py` has the frames.

We supervise one plain connection ourselves instead of using the library's robust one: whatever breaks (socket,
channel, silent peer), the whole link is thrown away, and a new one is made with everything declared again.
Settling a delivery of an old link does nothing; the broker hands it out again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from yarl import URL

from events import metrics
from events.amqp import CALL_SECONDS, Link, count, handed_out, line, link_on, translated
from events.bus import ATTEMPT, MARKS, MOST_DEAD, QUEUE, REASON, Delivery, Subscription, outgoing
from events.envelope import CONTENT_TYPE, Envelope
from events.errors import BusUnavailable
from events.publishing import Outgoing
from events.topology import EXCHANGE, QUEUES, Queue

HEARTBEAT_SECONDS: Final = 10
RECONNECT_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger()


class RabbitMQ:
    """A `Bus` on RabbitMQ 3.10 or later.

    Attributes:
        fault: why there is no link, in one line; None while there is one, or if nothing was tried yet.
    """

    def __init__(self, url: str, *, queues: Sequence[Queue] = QUEUES, name: str = "kb-ingest") -> None:
        address = URL(url)
        self._url = address if "heartbeat" in address.query else address.update_query(heartbeat=HEARTBEAT_SECONDS)
        self._queues = queues
        self._name = name
        self.fault: str | None = None
        self._link: Link | None = None
        self._up = asyncio.Condition()
        self._supervisor: asyncio.Task[None] | None = None
        self._subscriptions: set[RabbitSubscription] = set()

    @property
    def ready(self) -> bool:
        """Whether there is a link."""
        return self._link is not None

    async def start(self, *, within: float) -> None:
        """See `Bus.start`."""
        # on an ordinary broker restart the library logs tracebacks; we say it in one line of our own
        for library in ("aiormq", "aio_pika"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._supervisor = asyncio.create_task(self._supervise(), name="rabbitmq link")
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.link()

    async def link(self) -> Link:
        """The present link, or the next one; waits for as long as it takes."""
        async with self._up:
            await self._up.wait_for(lambda: self._link is not None)
            assert self._link is not None  # noqa: S101  just waited for, under the lock
            return self._link

    async def ping(self, *, within: float) -> None:
        """See `Bus.ping`."""
        link = self._link
        if link is None:
            raise BusUnavailable("not connected to RabbitMQ")
        # on a channel of its own: the library closes a channel whose call ran out of time, publishes in flight with it
        async with translated(within):
            channel = link.connection.channel()
            await channel.initialize()
            await channel.close()

    @metrics.timed("rabbitmq")
    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        """See `Bus.publish`."""
        link = self._link
        if link is None:
            raise BusUnavailable("not connected to RabbitMQ")
        messages = [Outgoing(EXCHANGE, one.routing_key, outgoing(one), one.data) for one in envelopes]
        await link.publisher.publish(messages, within=within)

    async def subscribe(self, queue: Queue, *, prefetch: int) -> Subscription:
        """See `Bus.subscribe`."""
        return self._add(RabbitSubscription(self, queue, prefetch=prefetch))

    async def dead(self, queue: Queue) -> Subscription:
        """See `Bus.dead`."""
        return await self._consuming(RabbitSubscription(self, queue, prefetch=MOST_DEAD, dead=True))

    async def tail(self, patterns: Sequence[str]) -> Subscription:
        """See `Bus.tail`."""
        return await self._consuming(RabbitSubscription(self, patterns, prefetch=1000))

    async def _consuming(self, subscription: RabbitSubscription) -> RabbitSubscription:
        with suppress(TimeoutError):
            async with asyncio.timeout(CALL_SECONDS):
                await subscription.consuming.wait()
        return self._add(subscription)

    def _add(self, subscription: RabbitSubscription) -> RabbitSubscription:
        self._subscriptions.add(subscription)
        return subscription

    async def close(self) -> None:
        """See `Bus.close`."""
        for subscription in self._subscriptions:
            await subscription.close()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)

    async def _supervise(self) -> None:
        failures = 0
        while True:
            connection: AbstractConnection | None = None
            link: Link | None = None
            try:
                names: dict[str, Any] = {"connection_name": self._name}
                opening = aio_pika.connect(self._url, timeout=CALL_SECONDS, client_properties=names)
                async with asyncio.timeout(2 * CALL_SECONDS):
                    connection = await opening
                    link = await link_on(connection, self._queues)
                failures, self.fault = 0, None
                log.info("rabbitmq.connected", host=self._url.host, port=self._url.port)
                async with self._up:
                    self._link = link
                    self._up.notify_all()
                await link.broken.wait()
                log.warning("rabbitmq.connection_lost", host=self._url.host, port=self._url.port)
            except Exception as error:  # whatever it is: without this task nothing would ever come back
                self.fault = line(error)
                log.warning("rabbitmq.unreachable", host=self._url.host, port=self._url.port, error=self.fault)
            finally:
                self._link = None
                if link is not None:
                    link.publisher.close()
                if connection is not None:
                    with suppress(Exception):
                        async with asyncio.timeout(1):
                            await connection.close()
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1


class RabbitSubscription:
    """A `Subscription`: a channel of its own, made anew on each link."""

    def __init__(self, bus: RabbitMQ, queue: Queue | Sequence[str], *, prefetch: int, dead: bool = False) -> None:
        self._bus = bus
        self._dead = dead
        self._queue = queue
        self._prefetch = prefetch
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        self._channel: AbstractChannel | None = None
        self._unsettled: set[int] = set()
        self.expected = 0
        self.consuming = asyncio.Event()
        self._supervisor = asyncio.create_task(self._supervise(), name="rabbitmq subscription")

    @property
    def active(self) -> bool:
        """See `Subscription.active`."""
        return self.consuming.is_set()

    async def receive(self, *, limit: int, within: float) -> Sequence[Delivery]:
        """See `Subscription.receive`."""
        try:
            async with asyncio.timeout(within):
                batch = [await self._arrived.get()]
        except TimeoutError:
            return []
        while len(batch) < limit and not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        return batch

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.ack`; one frame when nothing older is unsettled."""
        mine = {tag: received for tag, received in map(self._mine, deliveries) if received is not None}
        if not mine or self._channel is None or self._channel.is_closed:
            return
        last = max(mine)
        async with translated(CALL_SECONDS):
            if all(tag in mine for tag in self._unsettled if tag <= last):
                await mine[last].ack(multiple=True)
            else:
                for received in mine.values():
                    await received.ack()
        self._unsettled.difference_update(mine)

    def _mine(self, delivery: Delivery) -> tuple[int, AbstractIncomingMessage | None]:
        channel, received = cast("tuple[AbstractChannel, AbstractIncomingMessage]", delivery.token)
        return received.delivery_tag or 0, received if channel is self._channel else None

    async def retry(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.retry`."""
        assert isinstance(self._queue, Queue)  # noqa: S101  a tail has nothing to retry
        headers = {ATTEMPT: delivery.attempt + 1, REASON: reason}
        await self._move(delivery, self._queue.retry(delivery.attempt - 1), headers)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.dead_letter`."""
        assert isinstance(self._queue, Queue)  # noqa: S101  a tail has nothing to dead-letter
        headers = {ATTEMPT: delivery.attempt, REASON: reason, QUEUE: self._queue.name}
        await self._move(delivery, self._queue.dead, headers)

    async def revive(self, delivery: Delivery) -> None:
        """See `Subscription.revive`."""
        assert isinstance(self._queue, Queue)  # noqa: S101  a tail has nothing dead
        await self._move(delivery, self._queue.name, dict.fromkeys(MARKS))

    async def _move(self, delivery: Delivery, queue: str, headers: Mapping[str, object]) -> None:
        link = self._bus._link  # noqa: SLF001  one adapter in one file
        if link is None or self._mine(delivery)[1] is None:
            return  # of an old link: it is handed out again
        moved = Outgoing("", queue, {**delivery.headers, **headers}, delivery.body)
        await link.publisher.publish([moved], within=CALL_SECONDS)
        await self.ack([delivery])

    async def close(self) -> None:
        """See `Subscription.close`: closing the channel hands back what was not settled."""
        self._supervisor.cancel()
        await asyncio.gather(self._supervisor, return_exceptions=True)

    async def _supervise(self) -> None:
        while True:
            link = await self._bus.link()
            gone = asyncio.Event()
            channel: AbstractChannel | None = None
            try:
                channel = link.connection.channel()
                async with asyncio.timeout(CALL_SECONDS):
                    await self._consume(channel, gone)
                await gone.wait()
            except Exception as error:  # as above
                log.warning("rabbitmq.subscription_lost", queue=str(self._queue), error=line(error))
                link.broken.set()
            finally:
                self.consuming.clear()
                self._channel = None
                while not self._arrived.empty():  # the broker hands them out again
                    self._arrived.get_nowait()
                if channel is not None:
                    with suppress(Exception):
                        async with asyncio.timeout(1):
                            await channel.close()
            await asyncio.sleep(RECONNECT_SECONDS[0])

    async def _consume(self, channel: AbstractChannel, gone: asyncio.Event) -> None:
        await channel.initialize()
        channel.close_callbacks.add(lambda *_: gone.set())
        await channel.set_qos(prefetch_count=self._prefetch)
        if isinstance(self._queue, Queue):
            queue = await channel.get_queue(self._queue.dead if self._dead else self._queue.name, ensure=True)
            self.expected = queue.declaration_result.message_count or 0
        else:
            queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments={"x-max-length": 10_000})
            for pattern in self._queue:
                await queue.bind(EXCHANGE, pattern)
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda *_: gone.set())
        self._channel, self._unsettled = channel, set()
        await queue.consume(functools.partial(self._arrive, channel))
        self.consuming.set()

    async def _arrive(self, channel: AbstractChannel, received: AbstractIncomingMessage) -> None:
        if channel is not self._channel:
            return  # a late one of a closed channel: the broker hands it out again
        self._unsettled.add(received.delivery_tag or 0)
        headers = {**received.headers, CONTENT_TYPE: received.content_type}
        self._arrived.put_nowait(
            Delivery(
                headers=headers,
                body=received.body,
                attempt=count(headers.get(ATTEMPT), 1),
                deliveries=handed_out(headers),
                token=(channel, received),
            )
        )
