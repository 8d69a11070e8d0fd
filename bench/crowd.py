"""What many integrations cost ingest: its start, its memory, a look that finds nothing new, and how soon it knows a
new one. Each number with few integrations and with 100,000, of a process that does nothing else.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from bench import scratch
from bench.peers import Contestant
from events.rabbitmq import RabbitMQ
from integrations.clickup.webhook import sign
from integrations.sealed_rows import secret_row
from integrations.sealing import Keyring, generate
from schema.postgres import Database
from tests.conftest import Connected, connect

SIZES: Final = (10, 100_000)
ROUNDS: Final = 15
QUIET_SECONDS: Final = 0.5
DEADLINE: Final = 60.0
BODY: Final = b'{"event":"taskUpdated","task_id":"868cq4m2x","webhook_id":"w","history_items":[{"id":"1"}]}'
MANY: Final = """
    INSERT INTO kb.integrations (name, display_name, enabled, org_id, project_id)
    SELECT 'clickup', 'ClickUp', true, 'bench', gen_random_uuid() FROM generate_series(1, $1) RETURNING id"""


async def fill(url: str, keyring: Keyring, secret: str, *, size: int) -> None:
    """So many integrations, each with a secret."""
    connection = await asyncpg.connect(url)
    ids = [row["id"] for row in await connection.fetch(MANY, size)]
    secrets = [(uuid4(), id_, str(uuid4())) for id_ in ids]
    records = [
        (secret_id, id_, hook, keyring.seal(secret.encode(), row=secret_row(secret_id)))
        for secret_id, id_, hook in secrets
    ]
    columns = ["id", "integration_id", "webhook_id", "secret_sealed"]
    await connection.copy_records_to_table("webhook_secrets", schema_name="kb", records=records, columns=columns)
    await connection.execute("ANALYZE kb.integrations, kb.webhook_secrets")
    await connection.close()


async def main() -> None:
    """Measure and print."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("integrations", "start: CPU s", "MB", "KB each", "a look: CPU ms", "a new one known, ms", "most"):
        grid.add_column(title, justify="right")
    least = 0.0
    for size in SIZES:
        started, memory, look, known = await _measured(size)
        least = least or memory
        each = f"{(memory - least) * 1024 / size:.2f}" if memory > least else ""
        grid.add_row(
            f"{size:,}", f"{started:.2f}", f"{memory:.0f}", each, f"{look * 1000:.1f}",
            f"{statistics.median(known) * 1000:.0f}", f"{max(known) * 1000:.0f}",
        )  # fmt: skip
    Console().print(grid)
    Console().print(
        f"One process with its broker. CPU of its own; a look that finds nothing new is asked for {ROUNDS} times; "
        f"{ROUNDS} new integrations, from the commit to the first delivery that is taken.",
        style="dim",
    )


async def _measured(size: int) -> tuple[float, float, float, list[float]]:
    """Seconds of CPU for a start, megabytes, seconds of CPU for a look, seconds until each new one was known."""
    async with AsyncExitStack() as stack:
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_crowd")
        bus = RabbitMQ(os.environ["AMQP_URL"])
        await bus.start(within=10)
        stack.push_async_callback(scratch.tidy, bus)
        key, one = generate(), Connected()
        await fill(url, Keyring.parse(key), one.secret, size=size)
        environment = {"INTEGRATION_ENCRYPTION_KEY": key, "DATABASE_URL": url}
        ingest = Contestant(name="", command=[sys.executable, "-m", "cli", "ingest"], environment=environment)
        ingest.start({"INGEST_PORT": str(ingest.port)})
        stack.callback(ingest.end)
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{ingest.port}"))
        await _answered(http, "GET", "/readyz")
        started = await _quiet(ingest)
        for _ in range(ROUNDS):
            await connection.execute("NOTIFY kb_integrations")
            await _quiet(ingest)
        look, memory = (ingest.cpu() - started) / ROUNDS, ingest.memory()
        database = await Database(url, program="bench").open()
        stack.push_async_callback(database.close)
        known = [await _known(http, database, Keyring.parse(key)) for _ in range(ROUNDS)]
    return started, memory, look, known


async def _known(http: httpx.AsyncClient, database: Database, keyring: Keyring) -> float:
    """Seconds until a new integration's delivery is taken."""
    one = await connect(database, keyring, connected=Connected(webhook_id=str(uuid4())))
    path, headers, since = f"/webhooks/clickup/{one.id}", {"x-signature": sign(one.secret, BODY)}, time.monotonic()
    await _answered(http, "POST", path, content=BODY, headers=headers)
    return time.monotonic() - since


async def _answered(http: httpx.AsyncClient, method: str, path: str, **request: Any) -> None:
    """Ask until the answer is 200."""
    deadline, status = time.monotonic() + DEADLINE, 0
    while status != httpx.codes.OK and time.monotonic() < deadline:
        with suppress(httpx.TransportError):  # it does not listen yet
            status = (await http.request(method, path, **request)).status_code
        await asyncio.sleep(0.001)
    if status != httpx.codes.OK:
        raise SystemExit(f"{path} is answered {status}")


async def _quiet(ingest: Contestant) -> float:
    """Its seconds of CPU, once it has used none for a while."""
    deadline, used = time.monotonic() + DEADLINE, ingest.cpu()
    while time.monotonic() < deadline:
        await asyncio.sleep(QUIET_SECONDS)
        before, used = used, ingest.cpu()
        if used == before:
            return used
    raise SystemExit("ingest does not come to rest")


if __name__ == "__main__":
    uvloop.run(main())
