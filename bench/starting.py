"""Start-up and footprint: from the start of each program until it is ready, what it holds and uses when nothing
happens, and from `make run` until the first object is in the knowledge base.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import scratch
from bench.peers import Contestant
from consumers.handlers import consumers
from events.rabbitmq import RabbitMQ
from integrations.sealing import generate
from tests.services.server import free_port

ROUNDS: Final = 3
IDLE_SECONDS: Final = 15.0
SETTLE_SECONDS: Final = 2.0
DEADLINE: Final = 90.0
LOOK_SECONDS: Final = 0.01
TO_OBJECT: Final = "up --demo: the first object"


@dataclass(slots=True)
class Found:
    """Of one program, a number a round: seconds until ready and CPU of that, megabytes, CPU milliseconds a minute."""

    ready: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    anonymous: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)


async def main() -> None:
    """Measure and print."""
    found: dict[str, Found] = {}
    commands = {"ingest": ["ingest"], "gallery": ["gallery"]}
    commands |= {f"consume {name}": ["consume", name] for name in sorted(consumers())}
    commands |= {"consume, all of them": ["consume", *sorted(consumers())], "up": ["up"], "up --demo": ["up", "--demo"]}
    rounds = [(name, words) for _ in range(ROUNDS) for name, words in commands.items()]
    async with AsyncExitStack() as stack:
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_starting")
        bus = RabbitMQ(os.environ["AMQP_URL"])
        await bus.start(within=10)
        stack.push_async_callback(scratch.tidy, bus)
        for name, words in track(rounds, "programs", console=Console(stderr=True), transient=True):
            await _measured(name, words, url, found)
    show(found)


async def _measured(name: str, words: list[str], url: str, found: dict[str, Found]) -> None:
    """Start it, let it rest, look, and end it."""
    ports = {f"{of}_PORT": str(free_port()) for of in ("INGEST", "GALLERY", "METRICS")}
    environment = {"INTEGRATION_ENCRYPTION_KEY": generate(), "LOG_LEVEL": "error", **ports}
    with tempfile.TemporaryDirectory(prefix="kb-bench-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "cli", *words]
        if words[0] == "up":  # on embedded defaults, as `make run` is
            command += ["--data-dir", folder]
            environment |= {"DATABASE_URL": "", "AMQP_URL": ""}
        else:
            environment |= {"DATABASE_URL": url}
        one, began = Contestant(name=name, command=command), time.monotonic()
        one.start(environment)
        try:
            port = ports[{"gallery": "GALLERY_PORT", "consume": "METRICS_PORT"}.get(words[0], "INGEST_PORT")]
            await _ready(port)
            here = found.setdefault(name, Found())
            here.ready.append(time.monotonic() - began)
            here.cpu.append(one.cpu())
            if "--demo" in words:
                await _object(Path(folder))
                found.setdefault(TO_OBJECT, Found()).ready.append(time.monotonic() - began)
            if here.idle:
                return  # once is enough: it takes long
            await asyncio.sleep(SETTLE_SECONDS)
            used = one.cpu()
            await asyncio.sleep(IDLE_SECONDS)
            here.idle.append((one.cpu() - used) / IDLE_SECONDS * 60_000)
            resident, anonymous = held(one)
            here.resident.append(resident)
            here.anonymous.append(anonymous)
        finally:
            one.end()


async def _ready(port: str) -> None:
    """Return when its probe says so."""
    deadline = time.monotonic() + DEADLINE
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2) as http:
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if (await http.get("/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(LOOK_SECONDS)
    raise SystemExit(f"nothing is ready on port {port}")


async def _object(folder: Path) -> None:
    """Return when the knowledge base in this folder has a row."""
    deadline = time.monotonic() + DEADLINE
    lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    host = lines[4] or "127.0.0.1"
    connection = await asyncpg.connect(host=host, port=int(lines[3]), user="postgres", database="postgres")
    try:
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM kb.objects)"):
            if time.monotonic() > deadline:
                raise SystemExit("the demo writes no object")
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()


def held(one: Contestant) -> tuple[float, float]:
    """Megabytes of its own process: resident, and of that its own rather than of files."""
    assert one.process is not None  # noqa: S101  it runs
    lines = Path(f"/proc/{one.process.pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return kilobytes["Rss"] / 1024, kilobytes["Anonymous"] / 1024


def show(found: dict[str, Found]) -> None:
    """A row a program."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("program", "ready s", "CPU s", "resident MB", "anonymous MB", "idle: CPU ms a minute"):
        grid.add_column(title, justify="left" if title == "program" else "right")
    for name, one in found.items():
        columns = (one.ready, one.cpu, one.resident, one.anonymous, one.idle)
        forms = ("{:.2f}", "{:.2f}", "{:.0f}", "{:.0f}", "{:.0f}")
        grid.add_row(
            name,
            *(
                form.format(statistics.median(column)) if column else ""
                for form, column in zip(forms, columns, strict=True)
            ),
        )
    Console(width=110).print(grid)
    Console().print(
        f"Medians of {ROUNDS} starts, the first one's idleness for {IDLE_SECONDS:g} s; RabbitMQ and PostgreSQL run, "
        "but `up` starts a PostgreSQL of its own in a new folder, whose processes count as CPU, not as memory; "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
