"""AMQP as RabbitMQ speaks it: a link, the arguments of our queues, and the library's errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aio_pika import Connection
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, ExchangeType
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPException
from yarl import URL

from events.errors import BusUnavailable
from events.publishing import Publisher
from events.topology import EXCHANGE, Queue
from events.wire import Wire
from schema.address import distrust

CALL_SECONDS: Final = 5.0
MAX_LENGTH: Final = 2_000_000
"""Messages a queue holds before it refuses more; a publish then fails loudly and ingest turns to the spool."""
DELIVERY_LIMIT: Final = 1000
"""Hand-outs of a message without settlement before the broker itself dead-letters it. RabbitMQ 4 would otherwise
take 20, which a few rolling restarts under a backlog use up; our worker isolates suspects long before."""
LOOKED_AT: Final = 1_000_000_000
"""The same of a dead queue, where each look is a hand-out: past the limit the broker would drop a dead letter."""

FOR_EVER: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-max-length": MAX_LENGTH,
    "x-overflow": "reject-publish",
    "x-delivery-limit": DELIVERY_LIMIT,
}
BROKEN: Final = (*CONNECTION_EXCEPTIONS, AMQPException, TimeoutError, RuntimeError)
"""What the library raises when a connection or a channel is gone or silent; the last is uvloop's for writing to a
transport that was closed meanwhile.
"""


class WiredConnection(Connection):
    """A connection whose octets pass a wire of ours."""

    def __init__(self, url: URL, wire: Wire, *, name: str) -> None:
        super().__init__(url, client_properties={"connection_name": name})
        self.kwargs["transport_factory"] = wire

    def __del__(self) -> None:
        """Whoever made it closes it. The library would begin to, at times where no loop runs."""


@dataclass(slots=True, kw_only=True)
class Link:
    """One connection from its making to its end."""

    connection: AbstractConnection
    wire: Wire
    channel: AbstractChannel
    publisher: Publisher
    broken: asyncio.Event = field(default_factory=asyncio.Event)


async def link_on(connection: AbstractConnection, wire: Wire, queues: Sequence[Queue]) -> Link:
    """Declare everything on a connection that was just made. The link is broken as soon as any part of it is."""
    channel = connection.channel()
    await channel.initialize()
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    for queue in queues:
        await _declare(channel, exchange, queue)
    publishes = connection.channel(publisher_confirms=True)
    await publishes.initialize()
    link = Link(connection=connection, wire=wire, channel=channel, publisher=await publisher_on(publishes, wire))
    for one in (connection, channel, publishes):
        one.close_callbacks.add(lambda *_: link.broken.set())
    return link


async def publisher_on(channel: AbstractChannel, wire: Wire) -> Publisher:
    """A publisher that has this open channel of the wire's connection to itself."""
    underlay = await channel.get_underlay_channel()
    return Publisher(wire, underlay.number, frame_max=underlay.connection.connection_tune.frame_max)


async def _declare(channel: AbstractChannel, exchange: AbstractExchange, queue: Queue) -> None:
    """A consumer's queues. Back from a retry queue a message comes by its time to live, never lost on the way
    (dead-lettering at least once, RabbitMQ 3.10).
    """

    def back_to(name: str) -> dict[str, Any]:
        return {
            **FOR_EVER,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": name,
            "x-dead-letter-strategy": "at-least-once",
        }

    await channel.declare_queue(queue.dead, durable=True, arguments={**FOR_EVER, "x-delivery-limit": LOOKED_AT})
    main = await channel.declare_queue(queue.name, durable=True, arguments=back_to(queue.dead))
    for step, seconds in enumerate(queue.ladder):
        arguments = {**back_to(queue.name), "x-message-ttl": round(seconds * 1000)}
        await channel.declare_queue(queue.retry(step), durable=True, arguments=arguments)
    for pattern in queue.bindings:
        await main.bind(exchange, pattern)


@asynccontextmanager
async def translated(within: float) -> AsyncIterator[None]:
    """A deadline, and the library's errors in our words."""
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError as error:
        raise BusUnavailable(f"RabbitMQ did not answer within {within:g} s") from error
    except BROKEN as error:
        raise BusUnavailable(line(error)) from error


def line(error: BaseException) -> str:
    """An error of the library in one line, with what to do if it is one of TLS."""
    if (why := distrust(error, authority="cafile")) is not None:
        return f"{why}; see AMQP_URL"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def handed_out(headers: Mapping[str, object]) -> int:
    """How many times the broker handed a message out of this queue, from 1.

    Until RabbitMQ 4.2 x-delivery-count says so; from 4.3 on it leaves out what a receiver gave back without failing,
    and x-acquired-count says it.
    """
    return 1 + max(count(headers.get("x-delivery-count"), 0), count(headers.get("x-acquired-count"), 0))


def count(value: object, default: int) -> int:
    """A header that is a number."""
    return value if isinstance(value, int) else default
