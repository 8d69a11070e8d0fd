"""The relay: everything once confirmed, in order, by whoever is free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from consumers import outbox
from consumers.outbox import IN_FLIGHT, relay, relay_once
from events.bus import Delivery
from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import BusUnavailable
from events.topology import Queue
from schema.postgres import Database
from tests.conftest import until

QUEUE = Queue(consumer="test", bindings=("knowledge.#",))


def event(number: int) -> Envelope:
    return Envelope(
        id=UUID(int=number),
        source="/test",
        type="knowledge.task.updated",
        integration_id=uuid4(),
        time=datetime.now(UTC),
        data=b"{}",
    )


async def put(database: Database, events: Sequence[Envelope]) -> None:
    headers, bodies = [one.headers() for one in events], [one.data for one in events]
    await database.execute("outbox_add", headers, bodies)


@pytest.fixture
async def bus(database: Database) -> AsyncIterator[Embedded]:
    one = Embedded(database, queues=[QUEUE])
    await one.start(within=10)
    yield one
    await one.close()


async def empty(sql: Any) -> bool:
    return bool(await sql.fetchval("SELECT count(*) = 0 FROM kb.outbox"))


def number(delivery: Delivery) -> int:
    return Envelope.decode(delivery.headers, delivery.body).id.int


async def test_several_relays_keep_order_and_publish_once(database: Database, bus: Embedded, sql: Any) -> None:
    """Four relays at once on one outbox: every event once, in the order of the changes."""
    await put(database, [event(one) for one in range(1500)])
    stop = asyncio.Event()
    relays = [asyncio.create_task(relay(database, bus, wake=asyncio.Event(), stop=stop)) for _ in range(4)]
    await until(lambda: empty(sql))
    stop.set()
    await asyncio.gather(*relays)
    subscription = await bus.subscribe(QUEUE, prefetch=5000)
    seen: list[int] = []
    while batch := await subscription.receive(limit=5000, within=0.2):
        seen += [number(delivery) for delivery in batch]
    assert seen == list(range(1500))


async def test_a_failed_publish_keeps_the_events(database: Database, bus: Embedded, sql: Any) -> None:
    """What the broker did not confirm stays, and goes out with the same id later."""

    class Away(Embedded):
        async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
            raise BusUnavailable(f"away: {len(envelopes)} events not stored within {within} s")

    await put(database, [event(1)])
    with pytest.raises(BusUnavailable):
        await relay_once(database, Away(database, queues=[]))
    assert await sql.fetchval("SELECT count(*) FROM kb.outbox") == 1
    assert (await relay_once(database, bus))[0] == 1
    assert (await relay_once(database, bus))[0] == 0


async def test_the_last_turn_comes_after_the_stop(database: Database, bus: Embedded, sql: Any) -> None:
    """What was applied just before the end is still told."""
    stop = asyncio.Event()
    task = asyncio.create_task(relay(database, bus, wake=asyncio.Event(), stop=stop))
    await asyncio.sleep(0.2)
    await put(database, [event(1)])
    stop.set()
    await asyncio.wait_for(task, 10)
    assert await sql.fetchval("SELECT count(*) FROM kb.outbox") == 0


async def test_a_turn_begins_behind_what_was_removed(database: Database, bus: Embedded, sql: Any) -> None:
    """Far enough back for one whose transaction took its time; from the beginning now and then."""
    await sql.execute("ALTER SEQUENCE kb.outbox_id_seq RESTART WITH 1000000")
    await put(database, [event(1)])
    relayed, after = await relay_once(database, bus)
    assert (relayed, after) == (1, 1_000_000 - IN_FLIGHT)
    late = "INSERT INTO kb.outbox (id, headers, body) OVERRIDING SYSTEM VALUE VALUES ($1, $2, '{}')"
    for id_, one in ((999_000, event(2)), (5, event(3))):
        await sql.execute(late, id_, orjson.dumps(one.headers()).decode())
    assert await relay_once(database, bus, after=after) == (1, after)
    assert await relay_once(database, bus, after=after) == (0, after)
    assert (await relay_once(database, bus, after=0))[0] == 1
    await put(database, [event(4)])
    assert await relay_once(database, bus, after=after) == (1, after + 1)


async def test_it_looks_back_to_the_beginning(
    database: Database, bus: Embedded, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stands far behind the others is relayed within the time of a look back."""
    monkeypatch.setattr(outbox, "LOOK_BACK_SECONDS", 0.2)
    await sql.execute("ALTER SEQUENCE kb.outbox_id_seq RESTART WITH 1000000")
    stop, wake = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(relay(database, bus, wake=wake, stop=stop))
    await put(database, [event(1)])
    wake.set()
    await until(lambda: empty(sql))
    late = "INSERT INTO kb.outbox (id, headers, body) OVERRIDING SYSTEM VALUE VALUES (5, $1, '{}')"
    await sql.execute(late, orjson.dumps(event(2).headers()).decode())
    await until(lambda: empty(sql), within=5)
    stop.set()
    await asyncio.wait_for(task, 10)
