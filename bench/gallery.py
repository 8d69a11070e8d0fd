"""How soon the gallery is there: 50 integrations and 1,000,000 events in the delivery log.

Server time is from a request to the last octet of its answer, on one connection. Interactive is, from the navigation's
start, when the view is shown (first contentful paint) and its script has run to its end (`DOMContentLoaded` is over),
whichever is later. A Chromium measures it on each view three times:

- in a new tab, nothing kept: the browser starts a process for the tab meanwhile, which takes time of the same cores;
- at first sight: nothing kept either, in a tab that has shown `/healthz`, which needs none of the view's files;
- at second sight: the same, after another view, whose files it shares. The view itself is never kept.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson
from playwright.async_api import Browser, async_playwright
from rich.console import Console
from rich.table import Table

from bench import scratch
from cli.token_commands import new_token
from gallery.identity import SCOPES
from integrations.sealing import Keyring, generate
from schema import integrations, tokens
from schema.integrations import NewIntegration
from schema.postgres import Database
from tests.services.chromium import find_chromium
from tests.services.server import free_port

INTEGRATIONS: Final = 50
EVENTS: Final = 1_000_000
DAYS: Final = 7
ROUNDS: Final = 40
VIEWS_ROUNDS: Final = 9
FILL: Final = f"""
    INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, headers, body)
    SELECT now() - n * interval '{DAYS} days' / {EVENTS}, gen_random_uuid(), ($1::uuid[])[1 + n % {INTEGRATIONS}],
        'clickup.task.updated', 'task/' || n % 40000, '{{}}', convert_to(repeat('x', 600), 'UTF8')
    FROM generate_series(1, {EVENTS}) AS n"""  # noqa: S608  numbers of ours
REST_SECONDS: Final = 0.7
"""After a tab opened, until the browser is done with what it does about it."""
BEFORE: Final = (None, "/healthz", "/docs")
"""What a tab has shown before a view is looked at."""
INTERACTIVE: Final = """() => new Promise((done) => new PerformanceObserver((list) => {
    const [shown] = list.getEntriesByName("first-contentful-paint");
    const { domContentLoadedEventEnd } = performance.getEntriesByType("navigation")[0];
    if (shown) done(Math.max(shown.startTime, domContentLoadedEventEnd));
}).observe({ type: "paint", buffered: true }))"""


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_gallery")
        key = generate()
        ids, token = await _filled(url, Keyring.parse(key))
        address = await _serving(url, key, stack)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        stack.push_async_callback(browser.close)
        views = {"/": "all integrations", f"/integrations/{ids[0]}": "one integration", "/events": "delivery log"}
        rows = [
            [what, *await _served(address, path, token)]
            + [await _seen(browser, address, path, token, before) for before in BEFORE]
            for path, what in views.items()
        ]
    _show(rows)


async def _filled(url: str, keyring: Keyring) -> tuple[list[UUID], str]:
    """The integrations, the events, and a token: their ids, and its text."""
    database, ids = await Database(url, program="bench").open(), [uuid4() for _ in range(INTEGRATIONS)]
    for at, id_ in enumerate(ids):
        settings = orjson.dumps({"token": "pk_1_BENCH", "workspace_id": str(at)})
        new = NewIntegration(
            id=id_, name="clickup", display_name=f"ClickUp {at}", description=None, enabled=True, org_id="bench",
            project_id=uuid4(), settings_sealed=keyring.seal(settings, row=f"integrations/{id_}/settings"),
        )  # fmt: skip
        await integrations.create(database, new)
    made, text = new_token(
        random=os.urandom(tokens.OCTETS), now=datetime.now(UTC), name="bench", scopes=list(SCOPES), org=None,
        project=None,
    )  # fmt: skip
    await tokens.create(database, made)
    await database.close()
    connection = await asyncpg.connect(url)
    await connection.execute(f"SELECT kb.journal_keep_ahead({DAYS})")
    await connection.execute(FILL, ids)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return ids, text


async def _serving(url: str, key: str, stack: AsyncExitStack) -> str:
    """The gallery as a program of its own; its address."""
    port = free_port()
    environment = {
        **os.environ, "DATABASE_URL": url, "INTEGRATION_ENCRYPTION_KEY": key, "GALLERY_PORT": str(port),
        "LOG_LEVEL": "error",
    }  # fmt: skip
    command = [sys.executable, "-m", "cli", "gallery"]
    program = subprocess.Popen(command, env=environment)  # noqa: ASYNC220  it only starts; our own words
    stack.callback(program.wait, 15)
    stack.callback(program.terminate)
    address = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        while True:
            try:
                await http.get(f"{address}/sign-in")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return address


async def _served(address: str, path: str, token: str) -> tuple[float, float]:
    """Median and 95th percentile of the server's time, ms."""
    took: list[float] = []
    async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
        for round_ in range(ROUNDS + 3):
            started = time.perf_counter()
            answer = await http.get(path)
            answer.raise_for_status()
            if round_ >= 3:
                took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took), statistics.quantiles(took, n=20)[-1]


async def _seen(browser: Browser, address: str, path: str, token: str, before: str | None) -> float:
    """Median time until a view is interactive, ms."""
    took: list[float] = []
    for round_ in range(VIEWS_ROUNDS + 1):
        context = await browser.new_context(base_url=address)
        page = await context.new_page()
        await context.request.post("/session", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
        if before is not None:
            await page.goto(before)
            await asyncio.sleep(REST_SECONDS)
        await page.goto(path)
        if round_:
            took.append(float(await page.evaluate(INTERACTIVE)))
        await context.close()
    return statistics.median(took)


def _show(rows: list[list[Any]]) -> None:
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("view", "server, median ms", "p95", "interactive: new tab, ms", "first sight", "second sight"):
        grid.add_column(title, justify="left" if title == "view" else "right")
    for what, *figures in rows:
        grid.add_row(what, *(f"{figure:.0f}" for figure in figures))
    Console().print(grid)
    load, _, _ = os.getloadavg()
    Console().print(
        f"{INTEGRATIONS} integrations, {EVENTS:,} events of the last {DAYS} days; medians of {ROUNDS} requests and of "
        f"{VIEWS_ROUNDS} views; {os.cpu_count()} cores shared by browser, server "
        f"and database, load average {load:.1f}.",
        style="dim",
    )


if __name__ == "__main__":
    asyncio.run(main())
