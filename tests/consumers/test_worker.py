"""The runtime of consumers: on a real bus and database, with handlers of the test's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from consumers.outcome import Held, Postponed, Refused
from consumers.worker import STOP_SECONDS, SUSPECT_ATTEMPTS, SUSPECT_DELIVERIES, Handle, Worker
from events.bus import REASON, Delivery, Subscription
from events.embedded import Embedded, EmbeddedSubscription
from events.envelope import Envelope
from events.errors import BusUnavailable
from events.topology import Queue
from schema.errors import DatabaseUnavailable
from schema.postgres import Database
from tests.conftest import until

INTEGRATION = uuid4()
QUEUE = Queue(consumer="test", bindings=("clickup.#",), ladder=(0.1,))
NAME = QUEUE.name


def event(number: int) -> Envelope:
    return Envelope(
        id=UUID(int=number),
        source="/test",
        type="clickup.task.updated",
        subject=f"task/{number}",
        integration_id=INTEGRATION,
        time=datetime.now(UTC),
        data=b"{}",
    )


Failing = Mapping[int, Exception]


class Killed(BaseException):
    """What the operating system does to a process, as far as a test can."""


class Recorder:
    """A handler that remembers what it was given and fails as told."""

    def __init__(self, errors: Failing | None = None, breaks: Failing | None = None) -> None:
        self.errors = dict(errors or {})
        self.breaks = dict(breaks or {})
        self.batches: list[list[int]] = []
        self.handled: Counter[int] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, batch: Sequence[Envelope]) -> Mapping[UUID, Exception]:
        numbers = [envelope.id.int for envelope in batch]
        self.batches.append(numbers)
        await self.gate.wait()
        for number in numbers:
            if number in self.breaks:
                raise self.breaks[number]
        self.handled.update(number for number in numbers if number not in self.errors)
        return {UUID(int=number): self.errors[number] for number in numbers if number in self.errors}


@pytest.fixture
async def bus(database: Database) -> AsyncIterator[Embedded]:
    one = Embedded(database, queues=[QUEUE], lease=0.9)
    await one.start(within=10)
    yield one
    await one.close()


class Running:
    """A worker in the background."""

    def __init__(self, bus: Embedded, handle: Handle) -> None:
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(Worker(queue=QUEUE, bus=bus, handle=handle).run(self.stop))

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 10)


async def depth(sql: Any, queue: str) -> int:
    return int(await sql.fetchval("SELECT count(*) FROM kb.queue_messages WHERE queue = $1", queue))


async def empty(sql: Any) -> bool:
    return await depth(sql, QUEUE.name) == 0


async def reasons(sql: Any) -> dict[int, str]:
    rows = await sql.fetch("SELECT headers FROM kb.queue_messages WHERE queue = $1", QUEUE.dead)
    found = [orjson.loads(row["headers"]) for row in rows]  # a plain connection gives JSON as text
    return {UUID(headers["cloudEvents_id"]).int: headers[REASON] for headers in found}


async def test_what_is_handled_is_settled(bus: Embedded, sql: Any) -> None:
    """A batch is what is there; when it is done the queue is empty."""
    await bus.publish([event(number) for number in range(1, 51)], within=5)
    recorder = Recorder()
    async with Running(bus, recorder):
        await until(lambda: empty(sql))
    assert recorder.handled == Counter(range(1, 51))
    assert max(map(len, recorder.batches)) > 10


async def test_outcomes_go_their_ways(bus: Embedded, sql: Any) -> None:
    """Refused is dead at once with its reason, postponed comes back until it succeeds, the rest is done."""
    await bus.publish([event(number) for number in range(1, 6)], within=5)
    recorder = Recorder({2: Refused("no such thing"), 3: Postponed("not now")})
    async with Running(bus, recorder):
        await until(lambda: sum(3 in batch for batch in recorder.batches) >= 2)
        del recorder.errors[3]
        await until(lambda: empty(sql))
    assert recorder.handled == Counter([1, 3, 4, 5])
    assert await reasons(sql) == {2: "no such thing"}


async def test_what_was_held_is_settled_along_with_another(bus: Embedded, sql: Any) -> None:
    """Held for long, it is not handed in again, however often it came: the effect of another one was its own, too."""
    seen: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception | None]:
        seen.extend(one.id.int for one in batch)
        if UUID(int=1) in {one.id for one in batch}:
            return {UUID(int=1): Held(600)}
        return {UUID(int=1): None}

    await bus.publish([event(1)], within=5)
    await bus.publish([event(1)], within=5)
    async with Running(bus, handle):
        await until(lambda: seen == [1, 1])
        await bus.publish([event(2)], within=5)
        await until(lambda: empty(sql))
    assert seen == [1, 1, 2]


async def test_one_event_that_breaks_the_batch_hurts_nobody_else(bus: Embedded, sql: Any) -> None:
    """Halving finds it; the others are done once, and only it uses its attempts up, with a reason without payload."""
    await bus.publish([event(number) for number in range(1, 33)], within=5)
    recorder = Recorder(breaks={7: ValueError("secret payload")})
    async with Running(bus, recorder):
        await until(lambda: empty(sql))
    assert recorder.handled == Counter(number for number in range(1, 33) if number != 7)
    (reason,) = (await reasons(sql)).values()
    assert reason.startswith("gave up after 5 tries: ValueError at test_worker.py:")
    assert "secret" not in reason
    assert len(recorder.batches) <= 1 + 2 * 5 + 4  # logarithmic, not one by one


async def test_while_the_database_is_away_the_batch_waits(bus: Embedded, sql: Any) -> None:
    """Nobody's attempts are used up, and it goes on by itself."""
    await bus.publish([event(1)], within=5)
    recorder = Recorder(breaks={1: DatabaseUnavailable("away")})
    async with Running(bus, recorder):
        await until(lambda: len(recorder.batches) >= 3)
        assert await sql.fetchval("SELECT attempt FROM kb.queue_messages") == 1
        recorder.breaks.clear()
        await until(lambda: empty(sql))
    assert recorder.handled == Counter([1])


class Refusing(EmbeddedSubscription):
    """Settles nothing for a while, like a broker under its memory alarm."""

    refusals = 3

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._refuse()
        await super().ack(deliveries)

    async def retry(self, delivery: Delivery, *, reason: str) -> None:
        self._refuse()
        await super().retry(delivery, reason=reason)

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BusUnavailable("not now")


async def test_what_the_broker_does_not_settle_is_settled_later(database: Database, sql: Any) -> None:
    """A delivery whose settlement fails is not held for ever and not handled again: the settlement is tried again."""

    class Slow(Embedded):
        async def subscribe(self, queue: Queue, *, prefetch: int) -> Subscription:
            return self._add(Refusing(self, queue.name, prefetch=prefetch, queue=queue))

    bus = Slow(database, queues=[QUEUE])
    await bus.start(within=10)
    await bus.publish([event(number) for number in range(1, 11)], within=5)
    recorder = Recorder({4: Postponed("not now")})
    async with Running(bus, recorder):
        await until(lambda: sum(4 in batch for batch in recorder.batches) >= 2)
        recorder.errors.clear()
        await until(lambda: empty(sql))
    await bus.close()
    assert recorder.handled == Counter(range(1, 11))


async def test_a_stop_does_not_wait_for_ever(bus: Embedded, sql: Any) -> None:
    """What takes longer than a stop may is dropped and handed out again."""
    await bus.publish([event(1)], within=5)
    recorder = Recorder()
    recorder.gate.clear()
    running = Running(bus, recorder)
    await until(lambda: bool(recorder.batches))
    running.stop.set()
    await asyncio.wait_for(running.task, STOP_SECONDS + 2)
    assert recorder.handled == Counter()
    assert await depth(sql, QUEUE.name) == 1


async def test_a_stop_ends_what_is_in_hand(bus: Embedded, sql: Any) -> None:
    """The batch being handled is finished and settled; nothing new is begun."""
    await bus.publish([event(1)], within=5)
    recorder = Recorder()
    recorder.gate.clear()
    running = Running(bus, recorder)
    await until(lambda: bool(recorder.batches))
    running.stop.set()
    await bus.publish([event(2)], within=5)
    recorder.gate.set()
    await asyncio.wait_for(running.task, 10)
    assert recorder.handled == Counter([1])
    assert await depth(sql, QUEUE.name) == 1


async def test_a_stop_while_the_database_is_away_leaves_the_batch(bus: Embedded, sql: Any) -> None:
    """What cannot be finished is handed out again to the next one, at once."""
    await bus.publish([event(1)], within=5)
    recorder = Recorder(breaks={1: DatabaseUnavailable("away")})
    async with Running(bus, recorder):
        await until(lambda: bool(recorder.batches))
    again = Recorder()
    async with Running(bus, again):
        await until(lambda: empty(sql))
    assert again.handled == Counter([1])


async def test_a_message_that_is_no_event_is_dead(bus: Embedded, sql: Any) -> None:
    """Somebody else's message cannot block the queue."""
    await sql.execute(
        "INSERT INTO kb.queue_messages (queue, headers, body) VALUES ($1, $2, $3)", QUEUE.name, '{"x": 1}', b"?"
    )
    await bus.publish([event(1)], within=5)
    recorder = Recorder()
    async with Running(bus, recorder):
        await until(lambda: empty(sql))
    assert recorder.handled == Counter([1])
    assert await depth(sql, QUEUE.dead) == 1


async def test_a_message_that_kills_its_receivers_is_isolated(bus: Embedded, sql: Any) -> None:
    """Handed out often without an end, it is tried alone and on its own attempts; its neighbours only wait for it."""
    await bus.publish([event(1), event(2)], within=5)
    await sql.execute("UPDATE kb.queue_messages SET deliveries = $1", SUSPECT_DELIVERIES)

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception]:
        if any(envelope.id.int == 1 for envelope in batch):
            assert len(batch) == 1
            raise Killed
        handled.update(envelope.id.int for envelope in batch)
        return {}

    handled: Counter[int] = Counter()
    killed = 0
    async with asyncio.timeout(30):
        while not await empty(sql):
            stop = asyncio.Event()
            worker = Worker(queue=QUEUE, bus=bus, handle=handle)
            task = asyncio.create_task(_until_killed(worker, stop))
            await asyncio.wait([task], timeout=0.5)
            stop.set()
            killed += await task
            await sql.execute(HANDED_OUT_ONCE_MORE, NAME, str(UUID(int=1)))
    assert SUSPECT_ATTEMPTS - 1 <= killed <= 2 * SUSPECT_ATTEMPTS
    assert handled[2] <= 2  # once, and once more when its copy came: the inbox knows it
    assert list(await reasons(sql)) == [1]
    assert "its receiver died" in (await reasons(sql))[1]


HANDED_OUT_ONCE_MORE = (  # a process that is killed releases nothing, unlike a task
    "UPDATE kb.queue_messages SET available_at = now(), deliveries = deliveries + 1"
    " WHERE queue = $1 AND headers ->> 'cloudEvents_id' = $2"
)


async def _until_killed(worker: Worker, stop: asyncio.Event) -> bool:
    try:
        await worker.run(stop)
    except BaseExceptionGroup:
        return True
    return False
