"""`knowledge` against other consumers of the same deliveries, and against PostgreSQL alone. Interleaved rounds.

Deliveries wait that change names and estimates of tasks, which their history items state. A consumer claims each event
once, writes each value where it is newer than what the row has, and acknowledges after the commit. Everybody uses the
same statements (`schema/queries`). Go validates, times, counts and logs each event as ours does; ours alone asks the
source to confirm, writes what it says, and tells subscribers. The plain one does the least.

Each passes a gate first: deliveries out of order and twice leave every row with its newest values. After each round
all events must be claimed, and the rows be right.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import edits, scratch
from bench.peers import HERE, OURS, Contestant, go_program
from bench.scaling import cpu, root
from bench.scene import Scene
from events.rabbitmq import RabbitMQ
from integrations.clickup.simulator.server import Simulator
from integrations.registry import providers
from integrations.sealing import Keyring, generate
from schema import amendments
from schema.postgres import QUERIES, sql
from tests.services.postgres import find_postgres
from tests.services.rabbitmq import find_rabbitmq
from tests.services.server import ServiceError

ROUNDS: Final = 7
TASKS: Final = 60
EVENTS: Final = 30_000
FEW: Final = 3_000
"""For those that take a message at a time."""
GATE: Final = 600
BATCH: Final = 500
LOOK_SECONDS: Final = 0.02
COUNT_SECONDS: Final = 0.25
"""Counting what is claimed costs PostgreSQL more than applying does."""
WAIT_SECONDS: Final = 120.0
PLAIN, GO, ALONE = "aio-pika + asyncpg, a transaction a message", "Go, batches", "PostgreSQL alone, batches"
TOKEN: Final = "pk_48213377_BENCH"  # noqa: S105  the simulator's own
GO_LIBRARIES: Final = ("rabbitmq/amqp091-go", "jackc/pgx", "gofrs/uuid", "prometheus/client_golang")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Events a second; CPU microseconds an event of itself, PostgreSQL and RabbitMQ; megabytes."""

    rate: float
    own: float
    database: float
    broker: float
    memory: float = 0.0


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kb-bench-")))
        postgres, rabbitmq = find_postgres(), find_rabbitmq()
        for server in (postgres, rabbitmq):
            stack.callback(server.close)
        await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(rabbitmq.start))
        url = await scratch.database(stack, postgres.url, "kb_bench_consuming")
        simulator, key = Simulator(seed=4, token=TOKEN), generate()
        ids = edits.tasks(simulator.workspace, TASKS)
        api = await stack.enter_async_context(simulator.serving())
        team = simulator.workspace.team_id
        integration_id = await edits.connect(url, Keyring.parse(key), token=TOKEN, workspace_id=team)
        bus = RabbitMQ(rabbitmq.url)
        await bus.start(within=10)
        stack.push_async_callback(bus.close)
        environment = {
            "AMQP_URL": rabbitmq.url, "DATABASE_URL": url, "CLICKUP_API_URL": api, "INTEGRATION_ENCRYPTION_KEY": key,
            "QUERIES": str(QUERIES), "LOG_LEVEL": "info",
        }  # fmt: skip
        await _imported(environment, integration_id)
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        scene = Scene(
            integration_id=integration_id, more=edits.edits(simulator.workspace, ids), sql=connection, bus=bus,
            roots=[root(postgres), root(rabbitmq)],
        )  # fmt: skip
        entered = list(_contestants(folder))
        for one in entered:
            await _gate(one, scene, environment)
        found: dict[str, list[Round]] = {}
        for number in track(range(ROUNDS), "rounds", console=Console(stderr=True), transient=True):
            for one in entered[number % len(entered) :] + entered[: number % len(entered)]:
                found.setdefault(one.name, []).append(await _round(one, scene, environment))
            found.setdefault(ALONE, []).append(await _alone(scene, url))
    _show(found)


def _contestants(folder: Path) -> Iterator[Contestant]:
    yield Contestant(name=OURS, command=[sys.executable, "-m", "cli", "consume", "knowledge"])
    yield Contestant(name=PLAIN, command=[sys.executable, str(HERE / "plain_consumer.py")])
    try:
        yield Contestant(name=GO, command=[go_program(folder, "batching", GO_LIBRARIES)])
    except (ServiceError, subprocess.SubprocessError, OSError) as error:
        Console(stderr=True).print(f"{GO} is left out: {error}")


async def _imported(environment: Mapping[str, str], id_: UUID) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "import", str(id_), "--json", env={**os.environ, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if await process.wait():
        raise SystemExit("the import failed")


async def _gate(one: Contestant, scene: Scene, environment: Mapping[str, str]) -> None:
    """Raises `SystemExit` with what it does wrong."""
    envelopes = scene.events(GATE)
    twice = envelopes * 2
    random.Random(1).shuffle(twice)  # noqa: S311  an order, not a secret
    await scene.publish(twice)
    one.start(environment)
    try:
        claimed = await _until(scene, len({envelope.id for envelope in envelopes}))
        if wrong := await scene.wrong():
            raise SystemExit(f"{one.name}: {wrong} values are not the newest after {claimed} events out of order")
    finally:
        one.end()


async def _until(scene: Scene, count: int) -> int:
    deadline = time.monotonic() + WAIT_SECONDS
    while (claimed := await scene.claimed()) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{claimed} of {count} events were applied within {WAIT_SECONDS:g} s")
        await asyncio.sleep(COUNT_SECONDS)
    return claimed


async def _round(one: Contestant, scene: Scene, environment: Mapping[str, str]) -> Round:
    envelopes = scene.events(FEW if one.name == PLAIN else EVENTS)
    await scene.publish(envelopes)
    since, deadline = datetime.now(UTC), time.monotonic() + WAIT_SECONDS
    one.start(environment)
    try:
        while not await scene.begun(since):
            if time.monotonic() > deadline:
                raise SystemExit(f"{one.name} applies nothing")
            await asyncio.sleep(LOOK_SECONDS)
        began, used, others = datetime.now(UTC), one.cpu(), [cpu([pid]) for pid in scene.roots]
        events = await _until(scene, len({envelope.id for envelope in envelopes}))
        seconds = (await scene.sql.fetchval("SELECT max(claimed_at) FROM kb.inbox") - began).total_seconds()
        used, memory = one.cpu() - used, one.memory()
        database, broker = (cpu([pid]) - before for pid, before in zip(scene.roots, others, strict=True))
    finally:
        one.end()
    if wrong := await scene.wrong():
        raise SystemExit(f"{one.name}: {wrong} values are not the newest")
    return Round(
        rate=events / seconds, own=used / events * 1e6, database=database / events * 1e6, broker=broker / events * 1e6,
        memory=memory,
    )  # fmt: skip


async def _alone(scene: Scene, url: str) -> Round:
    """The statements of a batch, with what they write computed before."""
    envelopes, preview = scene.events(EVENTS), providers()["clickup"].preview
    connection = await asyncpg.connect(url)
    codec: dict[str, Any] = {"encoder": bytes.decode, "decoder": orjson.loads}
    await connection.set_type_codec("jsonb", schema="pg_catalog", **codec)
    everything = [row["id"] for row in await connection.fetch("SELECT id FROM kb.objects")]
    rows = {row["id"]: dict(row) for row in await connection.fetch(sql("object_amendable"), everything)}
    batches: list[tuple[list[UUID], list[UUID], bytes]] = []
    for start in range(0, len(envelopes), BATCH):
        batch, written = envelopes[start : start + BATCH], dict[UUID, dict[str, Any]]()
        told: dict[UUID, list[Any]] = {}
        for envelope in batch:
            for one in preview(envelope.data, envelope.time).amendments:
                told.setdefault(one.ref.object_id(scene.integration_id), []).append(one)
        for id_, stated in told.items():
            if (amended := amendments.apply(rows[id_], stated)) is not None:
                rows[id_] |= amended
                written[id_] = amended
        batches.append(([one.id for one in batch], list(told), orjson.dumps(list(written.values()), default=str)))
    await scene.sql.execute("TRUNCATE kb.inbox")
    own, before, began = time.process_time(), cpu([scene.roots[0]]), time.monotonic()
    for claims, touched, octets in batches:
        async with connection.transaction():
            await connection.fetch(sql("claim"), "knowledge", claims)
            await connection.fetch(sql("object_amendable"), touched)
            await connection.execute(sql("object_amend"), octets)
    seconds, own = time.monotonic() - began, time.process_time() - own
    database = cpu([scene.roots[0]]) - before
    await connection.close()
    count = await scene.claimed()
    if wrong := await scene.wrong():
        raise SystemExit(f"{ALONE}: {wrong} values are not the newest")
    return Round(rate=count / seconds, own=own / count * 1e6, database=database / count * 1e6, broker=0.0)


def _show(found: Mapping[str, Sequence[Round]]) -> None:
    """Medians, and ratios round by round."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    titles = (
        "consumer",
        "events/s",
        "against plain",
        "against Go",
        "of PostgreSQL",
        "CPU µs",
        "PostgreSQL µs",
        "RabbitMQ µs",
        "MB",
    )
    for title in titles:
        grid.add_column(title, justify="left" if title == "consumer" else "right")
    for name, rounds in found.items():

        def middle(of: str, rounds: Sequence[Round] = rounds) -> float:
            return float(statistics.median(getattr(one, of) for one in rounds))

        def against(other: str, rounds: Sequence[Round] = rounds) -> str:
            if other not in found:
                return ""
            return f"{statistics.median(a.rate / b.rate for a, b in zip(rounds, found[other], strict=True)):.2f}"

        grid.add_row(
            name, f"{middle('rate'):,.0f}", against(PLAIN), against(GO), against(ALONE), f"{middle('own'):.0f}",
            f"{middle('database'):.0f}", f"{middle('broker'):.0f}", f"{middle('memory'):.0f}",
        )  # fmt: skip
    Console(width=140).print(grid)
    Console().print(
        f"{EVENTS:,} events that wait ({FEW:,} for one transaction a message) about {TASKS} tasks; medians of {ROUNDS} "
        f"interleaved rounds; CPU is an event's; {os.cpu_count()} cores shared by the consumer, RabbitMQ, PostgreSQL "
        "and the simulated source.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
