"""Whether a batch costs the same as the tables grow: with nothing but what it is about, with a million objects and
claims, and with ten million; and while a million old claims are pruned beside it.

    SIZES=0,1000000,10000000 ROUNDS=20 python -m bench.growing

Each batch is about 500 tasks anywhere in the table, so what it touches is as cold as the table is large.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import filling, plans, scratch
from bench.batches import BATCH, Batch, single
from schema.postgres import sql
from tests.services.postgres import find_postgres

SIZES: Final = [int(size) for size in os.environ.get("SIZES", "0,1000000").split(",")]
ROUNDS: Final = int(os.environ.get("ROUNDS", "20"))
LEAST: Final = 20_000
"""Objects at size 0: those that the batches are about."""
OLD: Final = 1_000_000
KEPT_DAYS: Final = 30
PRUNINGS: Final = 4
PRUNE_SECONDS: Final = 300.0
WARM: Final = 3
NAMES: Final = ("journaled", "stated", "read", "relayed")


@dataclass(slots=True, kw_only=True)
class Point:
    """Batches at one size: milliseconds of each step; of all of them CPU and WAL. `filled`: seconds it took."""

    what: str
    filled: float = 0.0
    stored: str = ""
    steps: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NAMES})
    cpu: float = 0.0
    wal: float = 0.0

    def total(self) -> list[float]:
        """Milliseconds of each batch, all steps together."""
        return [sum(took) for took in zip(*self.steps.values(), strict=True)]


async def main() -> None:
    """Measure and print."""
    points: list[Point] = []
    async with AsyncExitStack() as stack:
        server = find_postgres()
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        url, filled, numbers = await scratch.database(stack, server.url, "kb_bench_growing"), 0, itertools.count()
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.execute(filling.PREPARE)
        for size in SIZES:
            count = max(size, LEAST)
            if not filling.fits((count - filled) * filling.OBJECT_OCTETS):
                Console().print(f"{size:,} objects do not fit on the disk and are left out")
                continue
            point = Point(what=f"{size:,} objects" if size else f"{LEAST:,} objects")
            point.filled, filled = await _grown(url, connection, filled, count), count
            point.stored = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
            points.append(await _measured(url, point, count, numbers))
            if size == SIZES[-1]:
                points.append(await _pruned(url, count, numbers))
            if os.environ.get("PLANS"):
                await plans.compare(url, count)
    show(points)


async def _grown(url: str, connection: Any, before: int, count: int) -> float:
    """Fill up to so many objects and claims; the seconds it took."""
    began = time.monotonic()
    tables = ["kb.objects", "kb.relationships", "kb.inbox"]
    async with filling.bare(connection, tables):
        await filling.fill(url, filling.OBJECTS, before, count - 1, what=f"{count:,} objects")
        await filling.fill(url, filling.CLAIMS, before, count - 1, timedelta(days=1), what=f"{count:,} claims")
    await connection.execute("VACUUM ANALYZE")
    return time.monotonic() - began


async def _measured(url: str, point: Point, size: int, numbers: Iterator[int]) -> Point:
    """Run batches on a connection of their own; the first three warm it up."""
    connection = await asyncpg.connect(url)
    try:
        database = await single(connection)
        await connection.execute("CHECKPOINT")
        for _ in range(WARM):
            await _batch(Batch(database=database, size=size, number=next(numbers)), Point(what="warm"))
        used, wal = await _used(connection)
        for _ in track(range(ROUNDS), point.what, console=Console(stderr=True), transient=True):
            await _batch(Batch(database=database, size=size, number=next(numbers)), point)
        cpu, octets = await _used(connection)
    finally:
        await connection.close()
    point.cpu, point.wal = (cpu - used) / ROUNDS / BATCH * 1e6, (octets - wal) / ROUNDS / BATCH
    return point


async def _pruned(url: str, size: int, numbers: Iterator[int]) -> Point:
    """Batches while the statement of the housekeeper forgets a million claims, some times."""
    point, forgot = Point(what=f"the same, {OLD:,} old claims pruned meanwhile"), list[float]()
    pruning, connection = await asyncpg.connect(url), await asyncpg.connect(url)
    database, used = await single(connection), 0.0

    async def prune() -> None:
        began = time.monotonic()
        await pruning.execute(sql("inbox_forget"), KEPT_DAYS, timeout=PRUNE_SECONDS)
        forgot.append(time.monotonic() - began)

    try:
        for _ in range(PRUNINGS):
            await filling.fill(url, filling.CLAIMS, 1, OLD, timedelta(days=KEPT_DAYS + 1), what="old claims")
            await _batch(Batch(database=database, size=size, number=next(numbers)), Point(what="warm"))
            before, task = (await _used(connection))[0], asyncio.create_task(prune())
            while not task.done():
                await _batch(Batch(database=database, size=size, number=next(numbers)), point)
            await task
            used += (await _used(connection))[0] - before
    finally:
        await connection.close()
        pruning.terminate()
    point.cpu = used / len(point.total()) / BATCH * 1e6
    point.stored = f"{statistics.median(forgot):.1f} s each"
    return point


async def _batch(batch: Batch, point: Point) -> None:
    """Run its steps, and note how long each took."""
    for name, step in batch.steps().items():
        began = time.perf_counter()
        await step()
        point.steps[name].append((time.perf_counter() - began) * 1000)


async def _used(connection: Any) -> tuple[float, float]:
    """Seconds of processor time of its server process, and octets of WAL of the server, so far."""
    ran = Path(f"/proc/{connection.get_server_pid()}/schedstat").read_text().split()[0]  # noqa: ASYNC240  no disk's
    wal = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(ran) / 1e9, float(wal)


def show(points: list[Point]) -> None:
    """A row a size."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("tables", *(f"{name}, ms" for name in NAMES), "batch, ms", "most", "ratio", "PostgreSQL µs", "ratio",
                  "WAL octets", "filled in s", "stored"):  # fmt: skip
        grid.add_column(title, justify="left" if title == "tables" else "right")
    first = points[0]
    for point in points:
        total = point.total()
        grid.add_row(
            point.what, *(f"{statistics.median(point.steps[name]):.1f}" for name in NAMES),
            f"{statistics.median(total):.0f}", f"{max(total):.0f}",
            f"{statistics.median(total) / statistics.median(first.total()):.2f}", f"{point.cpu:.0f}",
            f"{point.cpu / first.cpu:.2f}", f"{point.wal:,.0f}", f"{point.filled:.0f}", point.stored,
        )  # fmt: skip
    Console(width=180).print(grid)
    load, _, _ = os.getloadavg()
    Console().print(
        f"Batches of {BATCH} events, each about another task; medians of {ROUNDS}; CPU of the one server process and "
        f"WAL are an event's; {os.cpu_count()} cores, load average {load:.1f}.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
