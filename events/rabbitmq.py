"""RabbitMQ: the bus on a real broker. It keeps the promises of `bus.py`; `amqp.py` declares, `wire.py`
has the octets, `publishing.py` and `receiving.py` what comes and goes.

We supervise one plain connection ourselves instead of using the library's robust one: whatever breaks (socket,
channel, silent peer), the whole link is thrown away, and a new one is made with everything declared again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from yarl import URL

from events import metrics
from events.amqp import CALL_SECONDS, Link, WiredConnection, line, link_on, translated
from events.bus import MOST_DEAD, Subscription, outgoing
from events.envelope import CONTENT_TYPE, Envelope
from events.errors import BusUnavailable
from events.publishing import Outgoing
from events.receiving import RabbitSubscription
from events.topology import EXCHANGE, QUEUES, Queue
from events.wire import Wire

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

    @property
    def present(self) -> Link | None:
        """The link, if there is one now."""
        return self._link

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
        await link.publisher.publish([_message(one) for one in envelopes], within=within)

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
            wire = Wire()
            connection = WiredConnection(self._url, wire, name=self._name)
            link: Link | None = None
            try:
                async with asyncio.timeout(2 * CALL_SECONDS):
                    await connection.connect(timeout=CALL_SECONDS)
                    link = await link_on(connection, wire, self._queues)
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
                with suppress(Exception):
                    async with asyncio.timeout(1):
                        await connection.close()
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1


def _message(envelope: Envelope) -> Outgoing:
    headers = outgoing(envelope)
    return Outgoing(EXCHANGE, envelope.routing_key, headers.pop(CONTENT_TYPE), headers, envelope.data)
