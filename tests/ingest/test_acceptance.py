"""Durable acceptance: the broker, else the spool, and how the spool gets empty again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import BusUnavailable, Nacked
from events.topology import SPOOL, Queue
from ingest.acceptance import Acceptor, SpoolFull
from schema.postgres import Database
from tests.conftest import until

QUEUE = Queue(consumer="test", bindings=("clickup.#",))


def event(number: int) -> Envelope:
    return Envelope(
        id=UUID(int=number),
        source="/test",
        type="clickup.task.updated",
        integration_id=uuid4(),
        time=datetime.now(UTC),
        data=b"{}",
    )


class Picky(Embedded):
    """A broker that is away, or refuses single events."""

    away = False
    odd = False
    refused: frozenset[int] = frozenset()
    tried = 0

    async def ping(self, *, within: float) -> None:
        if self.odd:
            raise ValueError("a bug of a driver")
        if self.away:
            raise BusUnavailable("away")
        await super().ping(within=within)

    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        self.tried += 1
        if self.odd:
            raise ValueError("a bug of a driver")
        if self.away:
            raise BusUnavailable("away")
        if any(envelope.id.int in self.refused for envelope in envelopes):
            raise Nacked("not this")
        await super().publish(envelopes, within=within)


@pytest.fixture
async def broker(database: Database) -> AsyncIterator[Picky]:
    one = Picky(database, queues=[QUEUE])
    await one.start(within=10)
    yield one
    await one.close()


@pytest.fixture
async def acceptor(broker: Picky, database: Database) -> AsyncIterator[Acceptor]:
    spool = Embedded(database)
    one = Acceptor(bus=broker, spool=spool)
    one.start()
    yield one
    await one.close()
    await spool.close()


async def stored(sql: Any, queue: str) -> list[int]:
    select = "SELECT headers ->> 'cloudEvents_id' AS id FROM kb.queue_messages WHERE queue = $1"
    rows = await sql.fetch(select, queue)
    return sorted(UUID(row["id"]).int for row in rows)


async def test_an_event_the_broker_refuses_holds_no_other(broker: Picky, acceptor: Acceptor, sql: Any) -> None:
    """The others of its batch and those after it are published; it waits for its own next try."""
    broker.refused = frozenset({3})
    broker.away = True
    for number in range(1, 8):
        assert await acceptor.accept(event(number), within=5) == "spool"
    broker.away = False

    async def others() -> bool:
        return await stored(sql, QUEUE.name) == [1, 2, 4, 5, 6, 7] and await stored(sql, SPOOL.name) == [3]

    await until(others)  # published first, settled after
    broker.refused = frozenset()

    async def everything() -> bool:
        return await stored(sql, QUEUE.name) == list(range(1, 8)) and await stored(sql, SPOOL.name) == []

    await until(everything)


async def test_a_failed_broker_is_left_alone_until_it_answers(broker: Picky, acceptor: Acceptor) -> None:
    """A silent broker costs its deadline once, not every request."""
    broker.away = True
    for number in range(1, 6):
        assert await acceptor.accept(event(number), within=5) == "spool"
    assert broker.tried == 1
    broker.away = False

    async def direct() -> bool:
        return await acceptor.accept(event(7), within=5) == "broker"

    await until(direct)


async def test_one_silence_is_no_events_fault(broker: Picky, acceptor: Acceptor, sql: Any) -> None:
    """What is spooled keeps its place when the broker goes away again while the spool is drained."""
    broker.away = True
    for number in range(1, 8):
        assert await acceptor.accept(event(number), within=5) == "spool"
    acceptor._well.set()  # as if a ping had just been answered
    await until(lambda: broker.tried >= 2 and not acceptor._well.is_set())
    attempts = await sql.fetch("SELECT DISTINCT attempt FROM kb.queue_messages WHERE queue = $1", SPOOL.name)
    assert [row["attempt"] for row in attempts] == [1]
    broker.away = False

    async def everything() -> bool:
        return await stored(sql, QUEUE.name) == list(range(1, 8))

    await until(everything)


async def test_an_error_nobody_foresaw_ends_neither_drain_nor_probe(
    broker: Picky, acceptor: Acceptor, sql: Any
) -> None:
    """Whatever a driver raises in the background: when it is over, all goes on by itself."""
    broker.away = True
    for number in range(1, 4):
        assert await acceptor.accept(event(number), within=5) == "spool"
    broker.odd, tried = True, broker.tried
    acceptor._well.set()
    await until(lambda: broker.tried > tried)
    acceptor._well.clear()
    await asyncio.sleep(1.5)  # the probe meets it, too
    broker.away = broker.odd = False

    async def everything() -> bool:
        return acceptor._well.is_set() and await stored(sql, QUEUE.name) == [1, 2, 3]

    await until(everything)


async def test_no_time_left_is_no_acceptance(acceptor: Acceptor) -> None:
    """What came too late to be stored in time is not said to be stored."""
    with pytest.raises(BusUnavailable):
        await acceptor.accept(event(1), within=0)


async def test_the_spool_works_before_the_schema_does(empty_database_url: str) -> None:
    """Started before `migrate`, nothing is accepted and nothing breaks; afterwards all works by itself."""
    from schema.migrate import migrate  # noqa: PLC0415  what is late here

    database = await Database(empty_database_url, program="test").open()
    broker, spool = Picky(database, queues=[QUEUE]), Embedded(database)
    acceptor = Acceptor(bus=broker, spool=spool)
    await broker.start(within=0.2)
    acceptor.start()
    with pytest.raises(BusUnavailable):
        await acceptor.accept(event(1), within=5)
    assert not await acceptor.able()
    await migrate(empty_database_url)
    broker.away = True
    assert await acceptor.accept(event(1), within=5) == "spool"
    broker.away = False

    async def drained() -> bool:
        row = await database.fetchrow("queue_depth", QUEUE.name)
        return bool(row and row["messages"] == 1)

    await until(drained)
    await acceptor.close()
    await broker.close()
    await spool.close()
    await database.close()


async def test_an_event_in_the_spool_is_not_published_yet(broker: Picky, acceptor: Acceptor, sql: Any) -> None:
    """It says when it was published: not when it was spooled, but when the broker got it."""
    published = "SELECT headers ->> 'cloudEvents_publishedat' FROM kb.queue_messages WHERE queue = $1"
    broker.away = True
    assert await acceptor.accept(event(1), within=5) == "spool"
    assert await sql.fetchval(published, SPOOL.name) is None
    back = datetime.now(UTC)
    broker.away = False

    async def drained() -> bool:
        return await stored(sql, QUEUE.name) == [1]

    await until(drained)
    assert datetime.fromisoformat(await sql.fetchval(published, QUEUE.name)) > back


async def test_a_full_spool_takes_nothing_more(broker: Picky, database: Database, sql: Any) -> None:
    """The bound holds also for what other processes put there; it ends as soon as the broker takes some."""
    spool = Embedded(database)
    for number in range(1, 4):  # another process's
        await spool.put(SPOOL, [event(number)], within=5)
    one = Acceptor(bus=broker, spool=spool, spool_max=5)
    broker.away = True
    await one.measure()
    for number in (4, 5):
        assert await one.accept(event(number), within=5) == "spool"
    for number in (6, 7):
        with pytest.raises(SpoolFull, match="may have 5"):
            await one.accept(event(number), within=5)
    assert await stored(sql, SPOOL.name) == [1, 2, 3, 4, 5]
    assert REGISTRY.get_sample_value("kb_spool_limit_messages") == 5
    broker.away = False
    one.start()

    async def drained() -> bool:
        return await stored(sql, QUEUE.name) == [1, 2, 3, 4, 5] and not one.full

    await until(drained)
    broker.away = True
    assert await one.accept(event(8), within=5) == "spool"
    await one.close()
    await spool.close()


async def test_a_full_spool_is_not_ready(broker: Picky, database: Database) -> None:
    """Unless the broker is there: then the spool is not needed."""
    spool = Embedded(database)
    one, away = (
        Acceptor(bus=broker, spool=spool, spool_max=1),
        Acceptor(bus=Embedded(database), spool=spool, spool_max=1),
    )
    await spool.put(SPOOL, [event(1)], within=5)
    for acceptor in (one, away):
        await acceptor.measure()
    assert (await one.able(), await away.able()) == (True, False)
    await spool.close()


async def test_however_often_it_is_asked_the_stores_are_asked_seldom(database: Database) -> None:
    """Readiness and metrics are open to strangers, who could otherwise keep the database busy with them."""
    asked = Counter[str]()

    class Asked(Embedded):
        async def ping(self, *, within: float) -> None:
            asked["ping"] += 1
            await super().ping(within=within)

        async def depth(self, queue: Queue, *, within: float) -> tuple[int, float]:
            asked["depth"] += 1
            return await super().depth(queue, within=within)

    spool, clock = Asked(database), Clock()
    one = Acceptor(bus=Embedded(database), spool=spool, monotonic=clock)
    for _ in range(3):
        clock.now += 10
        for answer in await asyncio.gather(*(one.able() for _ in range(50))):
            assert answer in (True, False)
        assert await one.able()
        await asyncio.gather(*(one.measure() for _ in range(50)))
    assert asked == {"ping": 3, "depth": 3}
    await spool.close()


class Clock:
    """A clock that stands still."""

    now = 1.0

    def __call__(self) -> float:
        return self.now
