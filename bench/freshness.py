"""From the receipt of a delivery to its row, under load: 200 deliveries a second about 60 tasks, by what they state.
And 2,000 at once, every second anew, as a queue has them after a standstill.

The consumers run in a process of their own on RabbitMQ and PostgreSQL; the source is simulated in this one, and what it
tells is published as ingest would publish it. A trigger notes when each row first shows a stated value; a later one of
the same attribute counts for an earlier one that was overtaken within its batch.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import aio_pika
import asyncpg
import orjson
import uvloop
from aio_pika.exceptions import ChannelNotFoundEntity
from rich.console import Console
from rich.table import Table

from bench import edits, scratch
from bench.shown import READ, WATCH, Stated, shown
from events.rabbitmq import RabbitMQ
from events.topology import QUEUES
from ingest.snapshot import Known
from ingest.webhooks import wrap
from integrations.clickup.simulator.server import Simulator
from integrations.registry import providers
from integrations.sealing import Keyring, generate

PACES: Final = {"200 a second": (200, 0.02), "2,000 at once, every second": (2000, 1.0)}
"""Deliveries a second, and how often some are published."""
CHUNK: Final = 100
"""Published together, at most, as soon as they were made."""
SECONDS: Final = 20
WARM_UP_SECONDS: Final = 3
TASKS: Final = 60
TOKEN: Final = "pk_48213377_BENCH"  # noqa: S105  the simulator's own


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        await _unused(os.environ["AMQP_URL"])
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_freshness")
        simulator, key = Simulator(seed=4, token=TOKEN), generate()
        tasks = edits.tasks(simulator.workspace, TASKS)
        api = await stack.enter_async_context(simulator.serving())
        id_ = await edits.connect(url, Keyring.parse(key), token=TOKEN, workspace_id=simulator.workspace.team_id)
        environment = {
            **os.environ, "DATABASE_URL": url, "CLICKUP_API_URL": api, "INTEGRATION_ENCRYPTION_KEY": key,
            "LOG_LEVEL": "error",
        }  # fmt: skip
        bus = RabbitMQ(os.environ["AMQP_URL"])
        await bus.start(within=10)
        stack.push_async_callback(scratch.tidy, bus)
        consume = [sys.executable, "-m", "cli", "consume", "knowledge", "sync-state", "journal"]
        consumers = subprocess.Popen(consume, env=environment)  # noqa: ASYNC220  it only starts; our own words
        stack.callback(consumers.wait, 15)
        stack.callback(consumers.terminate)
        imported = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", "import", str(id_), "--json", env=environment, stdout=subprocess.DEVNULL
        )
        if await imported.wait():
            raise SystemExit("the import failed")
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.execute(WATCH)
        more = edits.edits(simulator.workspace, tasks)
        found: dict[str, tuple[list[float | None], int, int]] = {}
        for name, (rate, tick) in PACES.items():
            began = datetime.now(UTC)
            before = sum(simulator.calls.values())
            stated, published = await _tell(more, bus, id_, rate, tick)
            reads = sum(simulator.calls.values()) - before
            await asyncio.sleep(5)
            found[name] = (_delays(stated, await connection.fetch(READ, began)), published, reads)
    _show(found)


async def _tell(
    more: Iterator[edits.Edit], bus: RabbitMQ, id_: UUID, rate: float, tick: float
) -> tuple[list[Stated], int]:
    """Edit and publish at the rate; what was stated, first deliveries only, and how many deliveries there were."""
    known = Known(id=id_, provider="clickup", enabled=True)
    loop, stated, published = asyncio.get_running_loop(), list[Stated](), 0
    started = loop.time()
    while (passed := loop.time() - started) < WARM_UP_SECONDS + SECONDS:
        bodies: list[dict[str, Any]] = []
        while len(bodies) < CHUNK and published + len(bodies) < passed * rate:
            edit = next(more)
            bodies += edit.deliveries
            if passed > WARM_UP_SECONDS:
                stated.append((edit.task_id, edit.field, edit.number, datetime.now(UTC)))
        envelopes = [
            wrap(
                orjson.dumps(body),
                provider=providers()["clickup"],
                known=known,
                now=datetime.now(UTC),
                traceparent=None,
            )
            for body in bodies
        ]
        if envelopes:
            await bus.publish(envelopes, within=10)
        published += len(bodies)
        if len(bodies) < CHUNK:
            await asyncio.sleep(tick)
    return stated, published


def _delays(stated: list[Stated], rows: list[Any]) -> list[float | None]:
    """Milliseconds from each receipt until the row showed it; None if it never did."""
    return [
        (at - told).total_seconds() * 1000 if at is not None else None
        for at, (_, _, _, told) in zip(shown(stated, rows), stated, strict=True)
    ]


async def _unused(url: str) -> None:
    """Raises `SystemExit` where consumers of somebody else would share the queues."""
    connection = await aio_pika.connect(url)
    async with connection:
        for queue in QUEUES:
            with suppress(ChannelNotFoundEntity):  # which closes the channel, so each has its own
                channel = await connection.channel()
                await channel.declare_queue(queue.name, passive=True)
                raise SystemExit(f"the broker of AMQP_URL has a queue {queue.name} already; measure on another one")


def _show(found: Mapping[str, tuple[list[float | None], int, int]]) -> None:
    grid = Table(box=None, header_style="bold", pad_edge=False)
    titles = ("deliveries", "published", "changes", "never shown", "p50 ms", "p95 ms", "p99 ms", "most ms", "API calls")
    for title in titles:
        grid.add_column(title, justify="left" if title == "deliveries" else "right")
    for name, (delays, published, reads) in found.items():
        landed = sorted(delay for delay in delays if delay is not None)
        cuts = statistics.quantiles(landed, n=100, method="inclusive")
        numbers = (f"{number:.0f}" for number in (cuts[49], cuts[94], cuts[98], landed[-1]))
        missing = str(len(delays) - len(landed))
        grid.add_row(name, f"{published:,}", f"{len(delays):,}", missing, *numbers, f"{reads:,}")
    Console(width=120).print(grid)
    Console().print(
        f"About {TASKS} tasks; names and estimates as their history items state them; {SECONDS} s after "
        f"{WARM_UP_SECONDS} s of warming up; {os.cpu_count()} cores shared by RabbitMQ, PostgreSQL, consumers, "
        "simulator and publisher.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
