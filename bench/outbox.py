"""A turn of the outbox when a million rows were relayed and removed, and a long transaction keeps them on the disk.

Interleaved: from the beginning, as a look back does, and from behind the newest, as every other turn does; and before
there was anything old, which is the baseline.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import asyncpg
from rich.console import Console
from rich.table import Table

from bench import scratch
from consumers.outbox import BATCH, IN_FLIGHT
from schema.postgres import sql

OLD: Final = 1_000_000
ROUNDS: Final = 9
FILL: Final = """
    INSERT INTO kb.outbox (headers, body)
    SELECT jsonb_build_object('cloudEvents_id', g::text, 'more', repeat('x', 300)), convert_to(repeat('y', 600), 'UTF8')
    FROM generate_series(1, $1) g"""


async def turn(connection: Any, after: int) -> float:
    """Milliseconds to take a batch after an id, and to remove it."""
    started = time.perf_counter()
    rows = await connection.fetch(sql("outbox_take"), BATCH, after)
    await connection.execute(sql("outbox_remove"), [row["id"] for row in rows])
    return (time.perf_counter() - started) * 1000


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_outbox")
        connection, pin = await asyncpg.connect(url), await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        stack.push_async_callback(pin.close)
        await connection.execute(FILL, (ROUNDS + 1) * BATCH)
        fresh = [await turn(connection, 0) for _ in range(ROUNDS + 1)][1:]
        held = pin.transaction(isolation="repeatable_read")
        await held.start()
        await pin.fetchval("SELECT count(*) FROM kb.outbox")
        await connection.execute(FILL, OLD)
        await connection.execute("DELETE FROM kb.outbox")
        await connection.execute(FILL, 2 * (ROUNDS + 1) * BATCH)
        newest = await connection.fetchval("SELECT min(id) FROM kb.outbox")
        pairs = [(await turn(connection, 0), await turn(connection, newest - IN_FLIGHT)) for _ in range(ROUNDS + 1)][1:]
        await held.rollback()
    baseline = statistics.median(fresh)
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("turn of the outbox", "ms", "against its baseline"):
        grid.add_column(title, justify="left" if title.startswith("turn") else "right")
    grid.add_row("nothing old", f"{baseline:.1f}", "baseline")
    for title, found in (
        ("from behind the newest", [b for _, b in pairs]),
        ("from the beginning", [a for a, _ in pairs]),
    ):
        median = statistics.median(found)
        grid.add_row(f"{OLD:,} old rows, {title}", f"{median:.1f}", f"{median / baseline:.1f} x")
    Console().print(grid)
    Console().print(
        f"Take and remove {BATCH} events of some 1 kB; old rows removed and kept by a long transaction; medians of "
        f"{ROUNDS} interleaved rounds.",
        style="dim",
    )
