"""`make bench`: what a batch is worth, on both buses, what a turn of the outbox costs with a million old rows, how
fresh a row is at 200 deliveries a second, how soon the gallery is there, whether a refusal's time tells anything,
what many integrations cost ingest, whether batches, search and the delivery log cost the same with a million rows, what
an import costs, and how soon programs are ready.

Each way is measured in interleaved rounds on the same servers; the medians and their ratio to the baseline are
printed with the conditions. Absolute figures are this machine's in this minute; the ratios carry over.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import uvloop
from rich.console import Console
from rich.table import Table

from bench import (
    consuming,
    crowd,
    delivery_log,
    freshness,
    gallery,
    growing,
    importing,
    outbox,
    refusal,
    scaling,
    searching,
    starting,
    webhooks,
)
from events.bus import Bus
from events.embedded import Embedded
from events.envelope import Envelope
from events.rabbitmq import RabbitMQ
from events.topology import Queue
from schema.migrate import migrate
from schema.postgres import Database

ROUNDS: Final = 7
EVENTS: Final = 400
BATCH: Final = 100
DEADLINE: Final = 30.0
BODY: Final = b'{"event":"taskUpdated","text":"' + b"x" * 1200 + b'"}'

Way = Callable[[], Awaitable[None]]


def events(count: int) -> list[Envelope]:
    """So many events of the size of a usual delivery."""
    integration = uuid4()
    return [
        Envelope(
            id=uuid4(),
            source="/bench",
            type="clickup.task.updated",
            integration_id=integration,
            time=datetime.now(UTC),
            data=BODY,
        )
        for _ in range(count)
    ]


async def through(bus: Bus, queue: Queue, batch: int) -> None:
    """Publish and take everything, `batch` at a time, each batch confirmed and settled."""
    subscription = await bus.subscribe(queue, prefetch=2 * BATCH)
    try:
        for _ in range(EVENTS // batch):
            await bus.publish(events(batch), within=DEADLINE)
            left = batch
            while left:
                taken = await subscription.receive(limit=left, within=DEADLINE)
                await subscription.ack(taken)
                left -= len(taken)
    finally:
        await subscription.close()


async def measure(ways: Mapping[str, Way]) -> dict[str, float]:
    """Median events a second of each way, the rounds interleaved; the first round warms up."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            await way()
            if round_:
                rates[name].append(EVENTS / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}


def show(rates: Mapping[str, float], *, baselines: Mapping[str, str]) -> None:
    """A table of medians and ratios."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("way")
    grid.add_column("events/s", justify="right")
    grid.add_column("against its baseline", justify="right")
    for name, rate in rates.items():
        baseline = baselines.get(name)
        ratio = f"{rate / rates[baseline]:.1f} x" if baseline else "baseline"
        grid.add_row(name, f"{rate:,.0f}", ratio)
    Console().print(grid)


async def main() -> None:
    """Measure and print."""
    queue = Queue(consumer=f"bench.{uuid4()}", bindings=("clickup.#",), ladder=(1.0,))
    async with AsyncExitStack() as stack:
        await migrate(os.environ["DATABASE_URL"])
        database = await Database(os.environ["DATABASE_URL"], program="bench", max_size=8).open()
        stack.push_async_callback(database.close)
        rabbitmq, embedded = RabbitMQ(os.environ["AMQP_URL"], queues=[queue]), Embedded(database, queues=[queue])
        for bus in (rabbitmq, embedded):
            await bus.start(within=DEADLINE)
            stack.push_async_callback(bus.close)
        rates = await measure(
            {
                "RabbitMQ, one by one": lambda: through(rabbitmq, queue, 1),
                f"RabbitMQ, {BATCH} at a time": lambda: through(rabbitmq, queue, BATCH),
                "PostgreSQL, one by one": lambda: through(embedded, queue, 1),
                f"PostgreSQL, {BATCH} at a time": lambda: through(embedded, queue, BATCH),
            }
        )
        link = await rabbitmq.link()
        for name in (queue.name, queue.dead, queue.retry(0)):
            await link.channel.queue_delete(name)
    names = list(rates)
    show(rates, baselines={names[1]: names[0], names[3]: names[2]})
    Console().print(
        f"Published with a confirm into one durable queue, taken and settled; {EVENTS} events of {len(BODY)} octets, "
        f"medians of {ROUNDS} interleaved rounds; {platform.python_implementation()} {platform.python_version()}, "
        f"{os.cpu_count()} cores shared by servers and client.",
        style="dim",
    )


async def everything() -> None:
    """One after the other: they share the servers."""
    await main()
    await outbox.main()
    await freshness.main()
    await gallery.main()
    await refusal.main()
    await webhooks.main()
    await crowd.main()
    await consuming.main()
    await scaling.main()
    await growing.main()
    await searching.main()
    await delivery_log.main()
    await importing.main()
    await starting.main()


if __name__ == "__main__":
    uvloop.run(everything())
