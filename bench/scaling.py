"""What one event costs, and what more replicas of a consumer give: the numbers under docs/scaling.md.

Events wait, and 1, 2 and 4 replicas of a consumer apply them; then deliveries come at steady rates, and the time from
each change to its row is compared with what `bench.queueing` computes from the first numbers and from how long changes
take that come one by one.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import queueing
from bench.shown import READ, shown
from events.applied import event
from events.rabbitmq import RabbitMQ
from tests.conftest import until
from tests.resilience.rig import Rig, rig
from tests.resilience.soak import BATCH, CONSUMED, JOURNALED, publish
from tests.services.server import LocalHost, Server, process_tree

EVENTS: Final = 20_000
REPLICAS: Final = (1, 2, 4)
CALM: Final = 10.0
"""Changes a second of which none waits for another."""
CALM_SECONDS: Final = 60.0
RATES: Final = (100.0, 200.0, 300.0, 600.0)
SECONDS: Final = 15.0
WARM_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 180.0
APPLIED: Final = "SELECT count(*)::int FROM kb.inbox WHERE consumer = 'sync-state'"
COUNTS: Final = {"knowledge": CONSUMED, "journal": JOURNALED, "sync-state": APPLIED}
CHANGED: Final = """
    SELECT id, org_id, project_id, integration_id, type, external_source, external_type, external_id, external_url,
        external_updated_at, title, status, version, action, deleted_at, caused_by, received_at, synced_at
    FROM kb.objects WHERE external_type = 'task'"""
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One consumer with so many replicas: events a second; CPU microseconds, octets of WAL and API calls an event."""

    consumer: str
    replicas: int
    rate: float
    own: float
    database: float
    broker: float
    wal: float
    calls: float


def cpu(roots: Sequence[int]) -> float:
    """Seconds of processor time of these processes and all that came of them, those that ended included."""
    used = 0
    for root in roots:
        for pid in process_tree(root):
            times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += sum(map(int, times[11:15] if pid == root else times[11:13]))
    return used / TICKS


def root(server: Server) -> int:
    """The first process of a server of this machine. Raises `SystemExit` for one in a container."""
    if isinstance(server.host, LocalHost) and server.host.pid is not None:
        return server.host.pid
    raise SystemExit("RabbitMQ and PostgreSQL must be installed here: what they use is measured")


async def drain(one: Rig, consumer: str, replicas: int) -> Point:
    """Let so many replicas apply what waits."""
    query = COUNTS[consumer]
    before = int(await one.sql.fetchval(query))
    programs = [one.add(consumer) for _ in range(replicas)]

    async def began_to() -> bool:
        return int(await one.sql.fetchval(query)) > before

    await until(began_to)
    began, first = time.monotonic(), int(await one.sql.fetchval(query))
    count = first
    pids = [program.process.pid for program in programs if program.process is not None]
    roots = (pids, [root(one.postgres)], [root(one.rabbitmq)])
    used, wal = [cpu(some) for some in roots], await one.sql.fetchval("SELECT pg_current_wal_lsn()")
    calls = sum(one.simulator.calls.values())
    while count - before < EVENTS and time.monotonic() - began < WAIT_SECONDS:
        await asyncio.sleep(0.05)
        count = int(await one.sql.fetchval(query))
    seconds, events = time.monotonic() - began, count - first
    own, database, broker = ((cpu(some) - earlier) / events * 1e6 for some, earlier in zip(roots, used, strict=True))
    octets = int(await one.sql.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)::bigint", wal))
    asked = sum(one.simulator.calls.values()) - calls
    await asyncio.gather(*(program.end() for program in programs))
    return Point(
        consumer=consumer, replicas=replicas, rate=events / seconds, own=own, database=database, broker=broker,
        wal=octets / events, calls=asked / events,
    )  # fmt: skip


async def tell(one: Rig) -> None:
    """So many changes of what is there, told as the relay tells them: `sync-state` applies nothing else."""
    rows = [dict(row) for row in await one.sql.fetch(CHANGED)]
    first = max(row["version"] for row in rows) + 1_000_000 * len(one.programs)  # told by nobody else
    bus = RabbitMQ(one.broker.url)
    await bus.start(within=10)
    for start in range(0, EVENTS, BATCH):
        changes = [rows[number % len(rows)] | {"version": first + number} for number in range(start, start + BATCH)]
        await bus.publish([event(row, None) for row in changes], within=30)
    await bus.close()


async def freshness(one: Rig, rate: float, seconds: float = SECONDS) -> list[float]:
    """Seconds from each change to its row at a steady rate."""
    one.load.rate = rate
    await one.load.run(WARM_SECONDS)
    one.load.fresh()
    await one.load.run(seconds)
    await one.load.drained(WARM_SECONDS)
    await asyncio.sleep(WARM_SECONDS)
    stated = one.load.offered.stated
    moments = shown(stated, await one.sql.fetch(READ, stated[0][3]))
    return [(at - told).total_seconds() for (*_, told), at in zip(stated, moments, strict=True) if at]


async def main() -> None:
    """Measure and print."""
    points: list[Point] = []
    with tempfile.TemporaryDirectory(prefix="kb-scaling-") as folder, Progress(transient=True) as progress:
        async with rig(Path(folder), rate=100.0) as one:
            one.environment.pop("LD_PRELOAD", None)  # a clock that can be turned is a slow one
            await one.ready(one.add("ingest"))
            consumers = [one.add(name) for name in ("knowledge", "sync-state", "journal")]
            await one.load.run(WARM_SECONDS)
            calm = await freshness(one, CALM, CALM_SECONDS)
            steady = {rate: await freshness(one, rate) for rate in RATES}
            await asyncio.gather(*(program.end() for program in consumers))
            for replicas in REPLICAS:
                await publish(one, EVENTS, progress)
                await tell(one)
                points += [await drain(one, consumer, replicas) for consumer in COUNTS]
    show(points, steady, calm)


def show(points: Sequence[Point], steady: Mapping[float, Sequence[float]], calm: Sequence[float]) -> None:
    """Two tables."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    titles = (
        "consumer",
        "replicas",
        "events/s",
        "against one",
        "its CPU µs",
        "PostgreSQL µs",
        "RabbitMQ µs",
        "WAL octets",
        "API calls",
    )
    for title in titles:
        grid.add_column(title, justify="left" if title == "consumer" else "right")
    for point in points:
        alone = next(other.rate for other in points if (other.consumer, other.replicas) == (point.consumer, 1))
        grid.add_row(
            point.consumer, str(point.replicas), f"{point.rate:,.0f}", f"{point.rate / alone:.2f}", f"{point.own:.0f}",
            f"{point.database:.0f}", f"{point.broker:.0f}", f"{point.wal:,.0f}", f"{point.calls:.4f}",
        )  # fmt: skip
    Console(width=120).print(grid)
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("deliveries/s", "p50 ms", "p99 ms", "computed p50 ms", "computed p99 ms"):
        grid.add_column(title, justify="right")
    one = next(point for point in points if (point.consumer, point.replicas) == ("knowledge", 1))
    for rate, took in {CALM: calm, **steady}.items():
        found = median(took) * 1000, quantiles(took, n=100)[98] * 1000
        computed = queueing.waits(rate, alone=calm, saturated=one.rate)
        grid.add_row(f"{rate:g}", *(f"{value:.0f}" for value in (*found, *computed)))
    Console().print(grid)
    Console().print(
        f"{EVENTS:,} events about 60 tasks for each number of replicas; CPU, WAL and calls are an event's; "
        f"{os.cpu_count()} cores shared by everything.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
