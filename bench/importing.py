"""What a full import costs an object: a simulated workspace with some thousand tasks, read by `kb-ingest import`.

    TASKS=5000 python -m bench.importing

The target is what must be done: the API gives tasks by the hundred but comments only task by task, so nearly each
object takes a call, at what httpx needs for a bare one; a task is decoded, mapped, hashed and written as JSON; and
PostgreSQL inserts a row with its text vector into its indexes, edges, and an event. Each is measured by itself.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Final

import asyncpg
import httpx
import orjson
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import edits, scratch
from bench.peers import HERE, Contestant
from bench.scaling import cpu, root
from integrations.clickup import mapping
from integrations.clickup.simulator.server import Simulator
from integrations.sealing import Keyring, generate
from tests.services.postgres import find_postgres

TASKS: Final = int(os.environ.get("TASKS", "5000"))
ROUNDS: Final = 3
WAIT_SECONDS: Final = 300.0
CALLS: Final = 800
MAPPED: Final = 2_000
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
EVENTS: Final = """
    INSERT INTO kb.outbox (headers, body)
    SELECT jsonb_build_object('cloudEvents_id', id, 'more', repeat('x', 300)), convert_to(repeat('y', 600), 'UTF8')
    FROM kb.objects WHERE external_type = 'task' AND external_id LIKE 'x%'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import: CPU microseconds are an object's, `bare` those of PostgreSQL for the rows alone."""

    objects: float
    seconds: float
    own: float
    database: float
    calls: float
    bare: float


async def main() -> None:
    """Measure and print."""
    found: list[Import] = []
    async with AsyncExitStack() as stack:
        server = find_postgres()
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        simulator, key = Simulator(seed=4, token=TOKEN), generate()
        ids = edits.tasks(simulator.workspace, TASKS)
        api = await stack.enter_async_context(simulator.serving())
        call, mapped = await _called(f"{api}/v2/task/{ids[0]}/comment"), await _mapped(f"{api}/v2/task/{ids[0]}")
        for _ in track(range(ROUNDS), "imports", console=Console(stderr=True), transient=True):
            async with AsyncExitStack() as once:
                url = await scratch.database(once, server.url, "kb_bench_importing")
                found.append(await _imported(url, key, api, simulator, root(server)))
    show(found, call, mapped)


async def _called(url: str) -> float:
    """CPU microseconds of a call that nothing is added to."""
    command = [sys.executable, str(HERE / "bare_calls.py"), url, TOKEN, str(CALLS)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    answer, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    return float(answer)


async def _mapped(url: str) -> float:
    """CPU microseconds to decode a task, map, hash and write it as JSON."""
    async with httpx.AsyncClient(headers={"Authorization": TOKEN}) as http:
        raw = (await http.get(url)).raise_for_status().content
    began = time.process_time()
    for _ in range(MAPPED):
        record = mapping.task(orjson.loads(raw))
        orjson.dumps(record.content() | {"content_hash": record.content_hash()})
    return (time.process_time() - began) / MAPPED * 1e6


async def _imported(url: str, key: str, api: str, simulator: Simulator, server: int) -> Import:
    """Import the workspace into an empty database."""
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
        own, started = 0.0, 0.0
        while one.process.poll() is None and time.monotonic() < began + WAIT_SECONDS:
            with suppress(OSError):  # it ended meanwhile
                own = one.cpu()
            if not started and await connection.fetchval("SELECT EXISTS (SELECT FROM kb.objects)"):
                started = own  # most of what it used was its start
            await asyncio.sleep(0.02)
        if one.process.returncode != 0:
            raise SystemExit("the import failed, or took too long")
    finally:
        one.end()
    seconds, database = time.monotonic() - began, cpu([server]) - before
    objects = int(await connection.fetchval("SELECT count(*) FROM kb.objects"))
    bare, tasks = cpu([server]), int(await connection.fetchval("SELECT count(*) FROM kb.objects WHERE type = 'task'"))
    for statement in (INSERT, EDGES, EVENTS):
        await connection.execute(statement)
    bare = cpu([server]) - bare
    await connection.close()
    return Import(
        objects=objects, seconds=seconds, own=(own - started) / objects * 1e6, database=database / objects * 1e6,
        calls=sum(simulator.calls.values()) - calls, bare=bare / tasks * 1e6,
    )  # fmt: skip


def show(found: list[Import], call: float, mapped: float) -> None:
    """Medians."""

    def middle(of: str) -> float:
        return float(statistics.median(getattr(one, of) for one in found))

    target = middle("calls") / middle("objects") * call + mapped
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("", "an object", "target", "ratio"):
        grid.add_column(title, justify="right" if title else "left")
    for what, value, least in (
        ("CPU µs", middle("own"), target),
        ("PostgreSQL µs", middle("database"), middle("bare")),
    ):
        grid.add_row(what, f"{value:.0f}", f"{least:.0f}", f"{value / least:.2f}")
    Console().print(grid)
    rate = middle("objects") / middle("seconds")
    Console().print(
        f"{middle('objects'):,.0f} objects, {rate:,.0f} a second; {middle('calls'):,.0f} calls; a bare call takes "
        f"{call:.0f} µs, decoding, mapping and hashing a task {mapped:.0f} µs; medians of {ROUNDS} imports, the "
        f"program's start aside; {os.cpu_count()} cores shared with the simulated source, load average "
        f"{os.getloadavg()[0]:.1f}.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
