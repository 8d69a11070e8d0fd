"""Whether the time of a refusal tells anything: a signature wrong in its first octet against one wrong in its last,
and an unknown integration against a known one. Over a socket, interleaved in random order, on one connection each.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
import statistics
import time
from contextlib import AsyncExitStack
from typing import Final
from uuid import uuid4

import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from bench import scratch
from cli import logs
from cli.serving import listener, serving
from events.embedded import Embedded
from ingest.app import build
from integrations.clickup.webhook import sign
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import connect

ROUNDS: Final = 4000
WARM: Final = 200
BODY: Final = b'{"event":"taskUpdated","text":"' + b"x" * 1200 + b'"}'


def other(digit: str) -> str:
    """Another hex digit."""
    return "1" if digit == "0" else "0"


async def measure(url: str, ways: dict[str, tuple[str, str, int]]) -> dict[str, list[float]]:
    """Microseconds from request to answer, by way: path, signature and the status that is right."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(7)  # noqa: S311  a fixed order, so that runs compare
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        for turn in range(ROUNDS + WARM):
            for name in order.sample(list(ways), len(ways)):
                path, signature, status = ways[name]
                started = time.perf_counter()
                answer = await http.post(path, content=BODY, headers={"x-signature": signature})
                if turn >= WARM:
                    taken[name].append((time.perf_counter() - started) * 1e6)
                if answer.status_code != status:
                    raise RuntimeError(f"{name}: {answer.status_code}")
    return taken


async def main() -> None:
    """Measure and print."""
    logs.configure(level="warning", form="json")
    async with AsyncExitStack() as stack:
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_refusal")
        keyring = Keyring([bytes(32)])
        database = await Database(url, program="bench").open()
        stack.push_async_callback(database.close)
        connected = await connect(database, keyring)
        own = Database(url, program="ingest")
        app = build(bus=Embedded(own), spool=None, database=own, keyring=keyring)
        with listener("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        await stack.enter_async_context(serving(app, host="127.0.0.1", port=port))
        await asyncio.sleep(0.5)
        good, known, unknown = (
            sign(connected.secret, BODY),
            f"/webhooks/clickup/{connected.id}",
            f"/webhooks/clickup/{uuid4()}",
        )
        taken = await measure(
            f"http://127.0.0.1:{port}",
            {
                "wrong in its last octet": (known, good[:-1] + other(good[-1]), 403),
                "wrong in its first octet": (known, other(good[0]) + good[1:], 403),
                "the same once more": (known, good[:-1] + other(good[-1]), 403),
                "an unknown integration": (unknown, good, 404),
            },
        )
    show(taken)


def show(taken: dict[str, list[float]]) -> None:
    """The medians and their ratios to the first; what the same thing differs from itself is what ratios are worth."""
    baseline = statistics.median(next(iter(taken.values())))
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("refusal of a delivery", "median, µs", "ratio", "middle half, µs"):
        grid.add_column(title, justify="left" if title.startswith("refusal") else "right")
    for name, found in taken.items():
        low, median, high = statistics.quantiles(found, n=4)
        grid.add_row(name, f"{median:.1f}", f"{median / baseline:.3f}", f"{low:.0f} to {high:.0f}")
    Console().print(grid)
    Console().print(
        f"Over loopback on one connection; {len(BODY)} octets; {ROUNDS} rounds in random order; client and server in "
        f"one process, {platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
