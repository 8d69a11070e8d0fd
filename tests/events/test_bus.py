"""The promises of `events/bus.py`, held against both adapters on real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import aio_pika
import pytest

from events.amqp import handed_out
from events.bus import ATTEMPT, QUEUE, REASON, Bus, Delivery, Subscription
from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import BusUnavailable, Unroutable
from events.rabbitmq import RabbitMQ
from events.topology import Queue
from schema.postgres import Database
from tests.conftest import until
from tests.services.postgres import find_postgres
from tests.services.rabbitmq import RabbitMQServer, find_rabbitmq
from tests.services.server import Server

pytestmark = pytest.mark.usefixtures("swept")
WAIT = 10.0
Make = Callable[[Sequence[Queue]], Awaitable[Bus]]


def queue_for(integration: UUID, *, name: str = "work", ladder: tuple[float, ...] = (0.3, 0.6)) -> Queue:
    return Queue(consumer=f"test.{name}.{integration}", bindings=(f"clickup.*.*.{integration}",), ladder=ladder)


def event(integration: UUID, number: int = 0) -> Envelope:
    return Envelope(
        id=uuid4(),
        source=f"/clickup/{integration}",
        type="clickup.task.updated",
        subject=f"task/{number}",
        integration_id=integration,
        time=datetime.now(UTC),
        data=f'{{"number":{number},"text":"ü💥"}}'.encode(),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


@pytest.fixture(params=["rabbitmq", "embedded"])
async def make(request: pytest.FixtureRequest, amqp_url: str, database: Database) -> AsyncIterator[Make]:
    """Opens buses on one server; what they declared goes away with the test."""
    opened: list[Bus] = []
    declared: list[Queue] = []

    async def open_bus(queues: Sequence[Queue]) -> Bus:
        bus: Bus = (
            RabbitMQ(amqp_url, queues=queues)
            if request.param == "rabbitmq"
            else Embedded(database, queues=queues, lease=0.9)
        )
        await bus.start(within=WAIT)
        opened.append(bus)
        declared.extend(queues)
        return bus

    yield open_bus
    for bus in opened:
        await bus.close()
    if request.param == "rabbitmq":
        connection = await aio_pika.connect(amqp_url)
        channel = await connection.channel()
        for queue in declared:
            for name in (queue.name, queue.dead, *(queue.retry(step) for step in range(len(queue.ladder)))):
                await channel.queue_delete(name)
        await connection.close()


@pytest.fixture
def integration() -> UUID:
    return uuid4()


async def take(subscription: Subscription, count: int, *, within: float = WAIT) -> list[Delivery]:
    """Exactly so many deliveries, however they are cut into batches."""
    taken: list[Delivery] = []
    async with asyncio.timeout(within):
        while len(taken) < count:
            taken += await subscription.receive(limit=count - len(taken), within=1)
    return taken


async def test_what_is_published_arrives_unchanged(make: Make, integration: UUID) -> None:
    """Bytes, attributes and trace context are received as they were published; and when that was."""
    queue = queue_for(integration)
    bus = await make([queue])
    sent, before = event(integration), datetime.now(UTC)
    await bus.publish([sent], within=WAIT)
    (delivery,) = await take(await bus.subscribe(queue, prefetch=10), 1)
    received = Envelope.decode(delivery.headers, delivery.body)
    assert received == sent
    assert received.published is not None
    assert before <= received.published <= datetime.now(UTC)
    assert (delivery.attempt, delivery.deliveries) == (1, 1)


async def test_each_bound_queue_gets_its_own_copy(make: Make, integration: UUID) -> None:
    """Fan-out: what one consumer settles, another still has."""
    first, second = queue_for(integration, name="first"), queue_for(integration, name="second")
    bus = await make([first, second])
    await bus.publish([event(integration)], within=WAIT)
    one = await bus.subscribe(first, prefetch=10)
    await one.ack(await take(one, 1))
    assert len(await take(await bus.subscribe(second, prefetch=10), 1)) == 1
    assert await one.receive(limit=10, within=0.3) == []


async def test_an_unroutable_event_is_an_error(make: Make, integration: UUID) -> None:
    """Nothing is lost in silence: without a queue the publish fails, also in a batch."""
    bus = await make([queue_for(integration)])
    with pytest.raises(Unroutable):
        await bus.publish([event(integration), replace(event(integration), type="unheard.of")], within=WAIT)


async def test_what_was_not_settled_is_handed_out_again(make: Make, integration: UUID) -> None:
    """At least once: a receiver that goes away leaves its deliveries to the next one, with no attempt used."""
    queue = queue_for(integration)
    bus = await make([queue])
    await bus.publish([event(integration, number) for number in range(3)], within=WAIT)
    gone = await bus.subscribe(queue, prefetch=10)
    await gone.ack((await take(gone, 3))[:1])
    await gone.close()
    again = await take(await bus.subscribe(queue, prefetch=10), 2)
    assert [delivery.attempt for delivery in again] == [1, 1]


async def test_a_receiver_that_dies_without_a_word_is_replaced(make: Make, integration: UUID) -> None:
    """A connection that breaks, or a lease nobody renews, gives its deliveries back, and `deliveries` counts it."""
    queue = queue_for(integration)
    bus, other = await make([queue]), await make([queue])
    await bus.publish([event(integration)], within=WAIT)
    dead: Any = await bus.subscribe(queue, prefetch=10)
    await take(dead, 1)
    if isinstance(bus, RabbitMQ):
        await (await bus.link()).connection.close()
    else:
        dead._renewer.cancel()
    (again,) = await take(await other.subscribe(queue, prefetch=10), 1)
    assert (again.attempt, again.deliveries) == (1, 2)


async def test_a_retry_comes_back_after_its_delay(make: Make, integration: UUID) -> None:
    """Back-off: later, one attempt further, with the reason, and longer the next time."""
    queue = queue_for(integration)
    bus = await make([queue])
    sent = event(integration)
    await bus.publish([sent], within=WAIT)
    subscription = await bus.subscribe(queue, prefetch=10)
    (delivery,) = await take(subscription, 1)
    for attempt, delay in ((1, 0.3), (2, 0.6), (3, 0.6)):
        assert delivery.attempt == attempt
        started = time.monotonic()
        await subscription.retry(delivery, reason=f"try {attempt}")
        assert await subscription.receive(limit=1, within=delay * 0.6) == []
        (delivery,) = await take(subscription, 1)
        assert time.monotonic() - started >= delay * 0.9
        assert (delivery.headers[REASON], delivery.headers[ATTEMPT]) == (f"try {attempt}", attempt + 1)
        assert Envelope.decode(delivery.headers, delivery.body) == sent


async def test_a_dead_letter_keeps_event_and_reason(make: Make, integration: UUID) -> None:
    """What cannot succeed rests in the dead queue, whole, with why and from where."""
    queue = queue_for(integration)
    bus = await make([queue])
    sent = event(integration)
    await bus.publish([sent], within=WAIT)
    subscription = await bus.subscribe(queue, prefetch=10)
    (delivery,) = await take(subscription, 1)
    await subscription.dead_letter(delivery, reason="no such thing")
    assert await subscription.receive(limit=1, within=0.3) == []
    (dead,) = await take(await bus.subscribe(_by_name(queue.dead), prefetch=10), 1)
    assert Envelope.decode(dead.headers, dead.body) == sent
    assert (dead.headers[REASON], dead.headers[QUEUE]) == ("no such thing", queue.name)


@pytest.mark.parametrize(
    ("headers", "times"),
    [
        ({}, 1),
        ({"x-delivery-count": 2}, 3),
        ({"x-acquired-count": 2}, 3),
        ({"x-delivery-count": 1, "x-acquired-count": 4}, 5),
    ],
)
def test_hand_outs_are_counted_by_what_the_broker_has(headers: dict[str, object], times: int) -> None:
    """RabbitMQ 4.3 and later count failures and hand-outs apart, older ones know one count for both."""
    assert handed_out(headers) == times


def _by_name(name: str) -> Queue:
    return Queue(consumer=name.removeprefix("kb."), bindings=())


async def test_dead_letters_are_looked_at_revived_or_discarded(make: Make, integration: UUID) -> None:
    """A look leaves them as they were; a revived one starts anew; a discarded one is gone; order is that of death."""
    queue = queue_for(integration)
    bus = await make([queue])
    await bus.publish([event(integration, number) for number in range(3)], within=WAIT)
    consumer = await bus.subscribe(queue, prefetch=10)
    for delivery in await take(consumer, 3):
        await consumer.dead_letter(delivery, reason="too odd")
    for _ in range(3):
        look = await bus.dead(queue)
        assert len(await take(look, 3)) == 3
        await look.close()
    look = await bus.dead(queue)
    first, second, third = await take(look, 3)
    assert [Envelope.decode(one.headers, one.body).subject for one in (first, second, third)] == [
        "task/0", "task/1", "task/2",
    ]  # fmt: skip
    await look.revive(first)
    await look.ack([third])
    await look.close()
    (again,) = await take(consumer, 1)
    assert (again.body, again.attempt, again.deliveries) == (first.body, 1, 1)
    assert Envelope.decode(again.headers, again.body) == Envelope.decode(first.headers, first.body)
    assert not {REASON, ATTEMPT, QUEUE} & again.headers.keys()
    await consumer.ack([again])
    rest = await bus.dead(queue)
    (left,) = await take(rest, 1)
    assert (left.body, left.headers[REASON]) == (second.body, "too odd")
    assert await rest.receive(limit=9, within=0.3) == []


async def test_poison_does_not_eat_its_neighbours_attempts(make: Make, integration: UUID) -> None:
    """Retrying one message of a batch leaves the attempts of the others as they were."""
    queue = queue_for(integration, ladder=(0.1,))
    bus = await make([queue])
    await bus.publish([event(integration, number) for number in range(5)], within=WAIT)
    subscription = await bus.subscribe(queue, prefetch=10)
    poison = 0
    for _ in range(4):
        for delivery in await take(subscription, 1):
            number = Envelope.decode(delivery.headers, delivery.body).subject
            if number == "task/0":
                poison = delivery.attempt
                await subscription.retry(delivery, reason="poison")
            else:
                assert delivery.attempt == 1
                await subscription.ack([delivery])
    rest = await take(subscription, 2)
    assert {delivery.attempt for delivery in rest} <= {1, poison + 1}


async def test_receive_gives_what_is_there(make: Make, integration: UUID) -> None:
    """A batch is what waits now up to the limit, and nothing is waited for beyond it."""
    queue = queue_for(integration)
    bus = await make([queue])
    subscription = await bus.subscribe(queue, prefetch=100)
    assert await subscription.receive(limit=10, within=0.2) == []
    await bus.publish([event(integration, number) for number in range(7)], within=WAIT)
    await asyncio.sleep(0.3)
    started = time.monotonic()
    assert len(await subscription.receive(limit=5, within=WAIT)) == 5
    assert len(await subscription.receive(limit=5, within=WAIT)) == 2
    assert time.monotonic() - started < 1


async def test_events_wake_a_waiting_receiver(make: Make, integration: UUID) -> None:
    """An idle receiver has a new event within moments, not at the next poll."""
    queue = queue_for(integration)
    bus = await make([queue])
    subscription = await bus.subscribe(queue, prefetch=10)
    waits = []
    for number in range(5):
        waiting = asyncio.create_task(subscription.receive(limit=1, within=WAIT))
        await asyncio.sleep(0.15)
        started = time.monotonic()
        await bus.publish([event(integration, number)], within=WAIT)
        await subscription.ack(await waiting)
        waits.append(time.monotonic() - started)
    assert sorted(waits)[2] < 0.5


async def test_several_receivers_share_a_queue(make: Make, integration: UUID) -> None:
    """Competing consumers: each event goes to one of them."""
    queue = queue_for(integration)
    bus, other = await make([queue]), await make([queue])
    one, two = await bus.subscribe(queue, prefetch=5), await other.subscribe(queue, prefetch=5)
    await bus.publish([event(integration, number) for number in range(40)], within=WAIT)
    seen: list[str | None] = []

    async def work(subscription: Subscription) -> None:
        while len(seen) < 40:
            batch = await subscription.receive(limit=5, within=0.2)
            seen.extend(Envelope.decode(delivery.headers, delivery.body).subject for delivery in batch)
            await subscription.ack(batch)

    async with asyncio.timeout(WAIT):
        await asyncio.gather(work(one), work(two))
    assert len(seen) == len(set(seen)) == 40


async def test_a_tail_sees_what_is_published_from_now_on(make: Make, integration: UUID) -> None:
    """A live view has its own queue: it takes nothing from anybody and leaves nothing behind."""
    queue = queue_for(integration)
    bus = await make([queue])
    await bus.publish([event(integration, 1)], within=WAIT)
    tail = await bus.tail([f"clickup.task.*.{integration}"])
    await bus.publish([event(integration, 2)], within=WAIT)
    (seen,) = await take(tail, 1)
    assert Envelope.decode(seen.headers, seen.body).subject == "task/2"
    await tail.close()
    assert len(await take(await bus.subscribe(queue, prefetch=10), 2)) == 2


@pytest.fixture(params=["rabbitmq", "embedded"], scope="module")
async def private(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Server, str]]:
    """A server of these tests' own, which they may kill, freeze and restart; each leaves it serving."""
    server: Server = await asyncio.to_thread(find_rabbitmq if request.param == "rabbitmq" else find_postgres)
    await asyncio.to_thread(server.start)
    yield server, server.url
    await asyncio.to_thread(server.close)


async def _open(server: Server, url: str, queue: Queue) -> tuple[Bus, Database | None]:
    if isinstance(server, RabbitMQServer):
        bus: Bus = RabbitMQ(url, queues=[queue])
        await bus.start(within=WAIT)
        return bus, None
    from schema.migrate import migrate  # noqa: PLC0415  only this adapter needs a schema

    await migrate(url)
    database = await Database(url, program="test").open()
    bus = Embedded(database, queues=[queue], lease=1)
    await bus.start(within=WAIT)
    return bus, database


async def test_everything_resumes_after_the_server_was_killed(private: tuple[Server, str], integration: UUID) -> None:
    """Comes back: confirmed events survive, publishing and receiving go on by themselves, nothing is lost."""
    server, url = private
    queue = queue_for(integration)
    bus, database = await _open(server, url, queue)
    try:
        subscription = await bus.subscribe(queue, prefetch=10)
        await bus.publish([event(integration, number) for number in range(5)], within=WAIT)
        held = await take(subscription, 2)
        await asyncio.to_thread(server.kill)
        with pytest.raises(BusUnavailable):
            await bus.publish([event(integration, 99)], within=2)
        await asyncio.to_thread(server.start)
        numbers = {5, 6}
        async with asyncio.timeout(30):
            while numbers:
                try:
                    await bus.publish([event(integration, min(numbers))], within=2)
                    numbers.remove(min(numbers))
                except BusUnavailable:
                    await asyncio.sleep(0.2)
        await _try(subscription.ack(held))  # of the old connection: changes nothing on RabbitMQ
        seen: set[str | None] = set()
        expected = {f"task/{number}" for number in range(7)}
        if not isinstance(server, RabbitMQServer):  # the same row and the same lease: the ack was good
            seen |= {Envelope.decode(one.headers, one.body).subject for one in held}
        async with asyncio.timeout(30):
            while not expected <= seen:
                batch = await subscription.receive(limit=10, within=1)
                seen |= {Envelope.decode(one.headers, one.body).subject for one in batch}
                await _try(subscription.ack(batch))
    finally:
        await bus.close()
        if database is not None:
            await database.close()


async def _try(call: Awaitable[None]) -> None:
    try:
        await call
    except BusUnavailable:
        return


async def test_a_silent_server_costs_a_deadline_and_no_more(private: tuple[Server, str], integration: UUID) -> None:
    """Deadlines: a frozen server makes a publish fail in time, and it works again when the server does."""
    server, url = private
    queue = queue_for(integration)
    bus, database = await _open(server, url, queue)
    try:
        await asyncio.to_thread(server.freeze)
        started = time.monotonic()
        with pytest.raises(BusUnavailable):
            await bus.publish([event(integration)], within=0.5)
        assert time.monotonic() - started < 2
        await asyncio.to_thread(server.thaw)
        async with asyncio.timeout(30):
            while True:
                try:
                    return await bus.publish([event(integration)], within=2)
                except BusUnavailable:
                    await asyncio.sleep(0.2)
    finally:
        await asyncio.to_thread(server.thaw)
        await bus.close()
        if database is not None:
            await database.close()


async def test_it_starts_while_the_server_is_away(private: tuple[Server, str], integration: UUID) -> None:
    """A program that starts before its broker is not ready, fails its publishes at once, and becomes ready."""
    server, url = private
    queue = queue_for(integration)
    if isinstance(server, RabbitMQServer):
        await asyncio.to_thread(server.kill)
        database, bus = None, cast("Bus", RabbitMQ(url, queues=[queue]))
    else:
        from schema.migrate import migrate  # noqa: PLC0415  only this adapter needs a schema

        await migrate(url)
        await asyncio.to_thread(server.kill)
        database = await Database(url, program="test").open()
        bus = Embedded(database, queues=[queue])
    try:
        await bus.start(within=0.5)
        assert not bus.ready
        with pytest.raises(BusUnavailable):
            await bus.publish([event(integration)], within=1)
        await asyncio.to_thread(server.start)
        await until(lambda: bus.ready, within=30)
        await bus.publish([event(integration)], within=WAIT)
    finally:
        await bus.close()
        if database is not None:
            await database.close()


class Stumbling(tuple[Queue, ...]):
    """Queues whose first declaration fails in a way that nobody foresaw."""

    tried = 0

    def __iter__(self) -> Iterator[Queue]:
        Stumbling.tried += 1
        if Stumbling.tried == 1:
            raise KeyError("something in the library")
        return super().__iter__()


async def test_what_is_tried_again_says_nothing_that_only_the_broker_may_say(amqp_url: str, integration: UUID) -> None:
    """Headers of somebody else's message, some of them the broker's and some of kinds we have no use for."""
    queue = queue_for(integration, ladder=(0.05,))
    bus = RabbitMQ(amqp_url, queues=[queue])
    await bus.start(within=WAIT)
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel()
    said: dict[str, Any] = {"text": "ü💥", "number": -7, "x-thing": "theirs", "odd": 1.5}
    await channel.default_exchange.publish(aio_pika.Message(b"body", headers=said), queue.name)
    subscription = await bus.subscribe(queue, prefetch=10)
    (delivery,) = await take(subscription, 1)
    assert delivery.headers["x-thing"] == "theirs"
    await subscription.retry(delivery, reason="again")
    (again,) = await take(subscription, 1)
    left = {name: value for name, value in again.headers.items() if name in said}
    assert (again.body, left, again.headers[REASON]) == (b"body", {"text": "ü💥", "number": -7}, "again")
    await subscription.ack([again])
    await bus.close()
    for name in (queue.name, queue.dead, queue.retry(0)):
        await channel.queue_delete(name)
    await connection.close()


async def test_an_unforeseen_error_while_connecting_is_not_the_end(amqp_url: str) -> None:
    """Whoever keeps the link must not die of it: nothing else would ever bring it back."""
    bus = RabbitMQ(amqp_url, queues=Stumbling())
    await bus.start(within=10)
    assert (bus.ready, Stumbling.tried) == (True, 2)
    await bus.close()
