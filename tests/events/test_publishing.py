"""Publishing on RabbitMQ: frames that the library's decoder reads, and many publishes at a time on one channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aio_pika
import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from events import frames
from events.amqp import WiredConnection, publisher_on
from events.errors import BusUnavailable, Unroutable
from events.publishing import Outgoing, Publisher
from events.wire import Wire

WAIT = 10.0
short = st.text(max_size=60)
numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
names = st.text(min_size=1, max_size=40)


@given(
    exchange=short, key=short, headers=st.dictionaries(names, st.text(max_size=300) | numbers, max_size=12),
    body=st.binary(max_size=9000), channel=st.integers(min_value=1, max_value=65535),
    frame_max=st.integers(min_value=4096, max_value=131072),
)  # fmt: skip
def test_the_librarys_decoder_reads_our_frames(
    exchange: str, key: str, headers: dict[str, str | int], body: bytes, channel: int, frame_max: int
) -> None:
    """Method, properties, headers and body come back as they were, in frames that are not too long."""
    octets = frames.publish(
        channel=channel, exchange=exchange, key=key, headers=headers, content_type="application/json",
        message_id="0123", body=body, frame_max=frame_max,
    )  # fmt: skip
    found: list[Any] = []
    while octets:
        size, number, frame = pamqp.frame.unmarshal(octets)
        assert (number, size <= frame_max) == (channel, True)
        found.append(frame)
        octets = octets[size:]
    method, header, *rest = found
    assert isinstance(method, Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory, method.immediate) == (exchange, key, True, False)
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(body)
    assert header.properties.headers == headers
    assert header.properties.delivery_mode == 2
    assert (header.properties.content_type, header.properties.message_id) == ("application/json", "0123")
    assert all(isinstance(one, ContentBody) for one in rest)
    assert b"".join(one.value for one in rest) == body


def test_what_amqp_has_no_room_for_is_an_error() -> None:
    """A routing key of 256 octets, however few characters they are."""
    with pytest.raises(ValueError, match="255"):
        frames.publish(
            channel=1, exchange="", key="ü" * 128, headers={}, content_type="", message_id="", body=b"",
            frame_max=131072,
        )  # fmt: skip


class Queue:
    """A queue of the test's own, and a publisher."""

    def __init__(self, publisher: Publisher, queue: Any) -> None:
        self.publisher, self.queue = publisher, queue

    def message(self, body: bytes, **headers: str | int) -> Outgoing:
        return Outgoing("", self.queue.name, "text/plain", headers, body)

    async def bodies(self, count: int) -> list[bytes]:
        found: list[bytes] = []
        async with asyncio.timeout(WAIT), self.queue.iterator(no_ack=True) as messages:
            async for message in messages:
                found.append(message.body)
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def queue(amqp_url: str) -> AsyncIterator[Queue]:
    wire = Wire()
    connection = WiredConnection(URL(amqp_url), wire, name="test")
    await connection.connect()
    channel, publishes = connection.channel(), connection.channel()
    for one in (channel, publishes):
        await one.initialize()
    publisher = await publisher_on(publishes, wire)
    yield Queue(publisher, await channel.declare_queue(f"test.{uuid4()}", exclusive=True))
    publisher.close()
    await connection.close()


async def test_many_at_a_time_keep_their_order(queue: Queue) -> None:
    """Thousands of publishes under way, one message each or several: all stored once, in the order of the calls."""
    batches = [[queue.message(b"%d.%d" % (number, part)) for part in range(1 + number % 3)] for number in range(2000)]
    await asyncio.gather(*(queue.publisher.publish(batch, within=WAIT) for batch in batches))
    expected = [message.body for batch in batches for message in batch]
    assert await queue.bodies(len(expected)) == expected


async def test_one_bad_message_hurts_no_other(queue: Queue) -> None:
    """Among others written with it: one without a queue, one whose key is too long, one with a number too large."""
    astray = Outgoing("", "nobody's", "text/plain", {}, b"astray")
    endless = Outgoing("", "k" * 256, "text/plain", {}, b"endless")
    huge = queue.message(b"huge", number=2**64)
    batches = [[queue.message(b"%d" % number)] for number in range(100)]
    batches[20:20], batches[50:50], batches[70:70] = [[astray]], [[endless]], [[huge]]
    publishes = [queue.publisher.publish(batch, within=WAIT) for batch in batches]
    found = await asyncio.gather(*publishes, return_exceptions=True)
    failed = {batch[0].body: type(result) for batch, result in zip(batches, found, strict=True) if result is not None}
    assert failed == {b"astray": Unroutable, b"endless": ValueError, b"huge": OverflowError}
    assert await queue.bodies(100) == [b"%d" % number for number in range(100)]


async def test_a_large_body_and_its_headers_arrive(queue: Queue) -> None:
    """More than a frame takes; text and whole numbers."""
    body = bytes(range(256)) * 2000
    sent = queue.message(body, text="ü💥", number=-7)
    await queue.publisher.publish([sent], within=WAIT)
    message = await queue.queue.get(timeout=WAIT)
    assert (message.body, dict(message.headers)) == (body, {"text": "ü💥", "number": -7})
    assert (message.content_type, message.delivery_mode) == ("text/plain", aio_pika.DeliveryMode.PERSISTENT)
    await message.ack()


async def test_what_nobody_waits_for_is_not_written(queue: Queue) -> None:
    """A caller that gave up before its turn came has published nothing."""
    given_up = asyncio.create_task(queue.publisher.publish([queue.message(b"given up")], within=WAIT))
    await asyncio.sleep(0)
    given_up.cancel()
    await queue.publisher.publish([queue.message(b"wanted")], within=WAIT)
    assert await queue.bodies(1) == [b"wanted"]


async def test_a_lost_channel_keeps_nobody_waiting(queue: Queue) -> None:
    """Whoever waits is told at once, and so is whoever comes after."""
    waiting = [asyncio.create_task(queue.publisher.publish([queue.message(b"x")], within=WAIT)) for _ in range(50)]
    await asyncio.sleep(0)
    queue.publisher.close()
    async with asyncio.timeout(WAIT):
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in found} == {BusUnavailable}
    await asyncio.sleep(0)
    with pytest.raises(BusUnavailable):
        await queue.publisher.publish([queue.message(b"x")], within=WAIT)
