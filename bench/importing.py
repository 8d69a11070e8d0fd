"""What a full import costs an object: a simulated workspace with some thousand tasks, read by `kb-ingest import`.

    TASKS=5000 python -m bench.importing

The target is what must be done: a page of a hundred tasks is fetched and decoded, each is mapped, hashed and written as
JSON once, and PostgreSQL inserts a row with its text vector into eight indexes, edges, and an event. The parts are
measured by themselves, in this process and on the same server, and added up.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from bench import edits, scratch
from bench.peers import Contestant
from bench.scaling import cpu, root
from integrations.clickup.simulator.server import Simulator
from integrations.sealing import Keyring, generate
from tests.services.postgres import find_postgres

TASKS: Final = int(os.environ.get("TASKS", "5000"))
ROUNDS: Final = 3
WAIT_SECONDS: Final = 300.0
TOKEN: Final = "pk_48213377_BENCH"  # noqa: S105  the simulator's own
COLUMNS: Final = """external_url, external_parent_type, external_parent_id, external_updated_at, title, body, status,
    labels, properties, content_hash, action, observed_at, caused_by"""
INSERT: Final = f"""
    INSERT INTO kb.objects
        (id, org_id, project_id, integration_id, type, external_source, external_type, external_id, {COLUMNS})
    SELECT gen_random_uuid(), org_id, project_id, integration_id, type, external_source, external_type,
        'x' || external_id, {COLUMNS}
    FROM kb.objects WHERE external_type = 'task'"""  # noqa: S608  words of ours
EDGES: Final = """
    INSERT INTO kb.relationships (src_id, dst_id, type, asserted_by)
    SELECT gen_random_uuid(), dst_id, type, asserted_by FROM kb.relationships"""


async def main() -> None:
    """Measure and print."""
    found: list[tuple[float, ...]] = []
    async with AsyncExitStack() as stack:
        server = find_postgres()
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        simulator, key = Simulator(seed=4, token=TOKEN), generate()
        edits.tasks(simulator.workspace, TASKS)
        api = await stack.enter_async_context(simulator.serving())
        for _ in range(ROUNDS):
            await asyncio.to_thread(scratch.undisturbed)
            async with AsyncExitStack() as once:
                url = await scratch.database(once, server.url, "kb_bench_importing")
                found.append(await _imported(url, key, api, simulator, root(server)))
    show(found)


async def _imported(url: str, key: str, api: str, simulator: Simulator, server: int) -> tuple[float, ...]:
    """Objects, seconds, own CPU, PostgreSQL's CPU, calls; and PostgreSQL's CPU for the bare rows, an object."""
    id_ = await edits.connect(url, Keyring.parse(key), token=TOKEN, workspace_id=simulator.workspace.team_id)
    environment = {
        "DATABASE_URL": url, "CLICKUP_API_URL": api, "INTEGRATION_ENCRYPTION_KEY": key, "LOG_LEVEL": "error",
    }  # fmt: skip
    connection = await asyncpg.connect(url)
    one = Contestant(name="import", command=[sys.executable, "-m", "cli", "import", str(id_), "--json"])
    calls, before, began = sum(simulator.calls.values()), cpu([server]), time.monotonic()
    one.start(environment)
    try:
        assert one.process is not None  # noqa: S101  just started
        own, deadline, started = 0.0, began + WAIT_SECONDS, 0.0
        while one.process.poll() is None and time.monotonic() < deadline:
            own = _used(one, own)
            started = started or await _first(connection, began, own)
            await asyncio.sleep(0.02)
        if one.process.returncode:
            raise SystemExit("the import failed")
    finally:
        one.end()
    seconds, database = time.monotonic() - began, cpu([server]) - before
    objects = int(await connection.fetchval("SELECT count(*) FROM kb.objects"))
    bare, tasks = cpu([server]), int(await connection.fetchval("SELECT count(*) FROM kb.objects WHERE type = 'task'"))
    await connection.execute(INSERT)
    await connection.execute(EDGES)
    bare = cpu([server]) - bare
    await connection.close()
    calls = sum(simulator.calls.values()) - calls
    return objects, seconds, (own - started) / objects * 1e6, database / objects * 1e6, calls, bare / tasks * 1e6


def _used(one: Contestant, before: float) -> float:
    try:
        return one.cpu()
    except OSError:  # it ended meanwhile
        return before


async def _first(connection: Any, _began: float, own: float) -> float:
    """Its CPU until the first object was there, the start of the program for the most part; 0 before."""
    return own if await connection.fetchval("SELECT EXISTS (SELECT FROM kb.objects)") else 0.0


def show(found: list[tuple[float, ...]]) -> None:
    """Medians."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in (
        "objects",
        "seconds",
        "objects/s",
        "CPU µs",
        "PostgreSQL µs",
        "API calls",
        "PostgreSQL µs, bare rows",
    ):
        grid.add_column(title, justify="right")
    objects, seconds, own, database, calls, bare = (statistics.median(column) for column in zip(*found, strict=True))
    grid.add_row(
        f"{objects:,.0f}", f"{seconds:.1f}", f"{objects / seconds:,.0f}", f"{own:.0f}", f"{database:.0f}",
        f"{calls:,.0f}", f"{bare:.0f}",
    )  # fmt: skip
    Console(width=120).print(grid)
    Console().print(
        f"Medians of {ROUNDS} imports; CPU an object, that of the start aside; {os.cpu_count()} cores shared with the "
        f"simulated source, load average {os.getloadavg()[0]:.1f}.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
