"""Ingest against others that do the same work: requests a second, CPU an event, latency, memory. Interleaved rounds.

All of them check the signature against the integration's secret, read what the delivery says, derive the event's id,
publish it with its CloudEvents attributes, count and time it, and write a line of the log; one more Go program does the
first and the publishing only. Each passes a gate first: a wrong signature is refused, a right one ends in exactly the
bound queues as the event that ours would be, and one that no queue takes is not answered 200 (ours keeps it in the
spool, and is answered 200 for that). After each round the queues are counted: what was answered 200 must be there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import aio_pika
import httpx
import orjson
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import crowd, scratch
from bench.peers import CROWDED, HERE, LEAST, OURS, Contestant, contestants
from events.envelope import CONTENT_TYPE, Envelope
from events.rabbitmq import RabbitMQ
from events.topology import EXCHANGE
from ingest.snapshot import Known
from ingest.webhooks import wrap
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.webhook import EVENTS, sign
from integrations.registry import providers
from integrations.sealing import Keyring, generate
from schema.postgres import Database
from tests.conftest import Connected, connect
from tests.services.packages import install

ROUNDS: Final = 7
SECONDS: Final = 3
CONNECTIONS: Final = (64, 8)
BODIES: Final = 2000
START_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 20.0
CROWD: Final = 100_000
SUBSCRIBER: Final = "bench.subscriber"
BARE, PUBLISHING = "HTTP alone", "publishing alone"
"""What there is to reach: a request that nothing is done with, and a message that nobody sent."""
FULL: Final = ("kb.knowledge", "kb.journal", SUBSCRIBER)
"""The three queues that each event ends in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round gave: answers a second, microseconds of its own CPU an answer, milliseconds, megabytes, lost."""

    rate: float
    cpu: float
    p50: float
    p99: float
    memory: float
    lost: int


async def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        install(["wrk"])
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kb-bench-")))
        url = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_webhooks")
        bus = RabbitMQ(os.environ["AMQP_URL"])
        await bus.start(within=10)
        stack.push_async_callback(scratch.tidy, bus)
        channel = await _subscriber(stack)
        crowded = await scratch.database(stack, os.environ["DATABASE_URL"], "kb_bench_crowd")
        key, connected = generate(), Connected()
        secret = connected.secret
        for where in (url, crowded):
            database = await Database(where, program="bench").open()
            await connect(database, Keyring.parse(key), connected=connected)
            await database.close()
        await crowd.fill(crowded, Keyring.parse(key), secret, size=CROWD)
        deliveries = _deliveries(secret)
        (folder / "deliveries").write_bytes(deliveries)
        bodies = [line.partition(b" ")[2] for line in deliveries.splitlines()]
        entered = contestants(folder, {"INTEGRATION_ENCRYPTION_KEY": key}, {OURS: url, CROWDED: crowded})
        common = {
            "EXCHANGE": EXCHANGE, "SECRET": secret, "INTEGRATION_ID": str(connected.id),
            "EVENTS": orjson.dumps(EVENTS).decode(),
        }  # fmt: skip
        for one in entered:
            one.environment |= {"INGEST_PORT": str(one.port)}
            one.start(common)
            stack.callback(one.end)
        path = f"/webhooks/clickup/{connected.id}"
        for one in entered:
            await _gate(one, channel, path, secret)
        bare = Contestant(name=BARE, command=[sys.executable, str(HERE / "bare.py")])
        bare.start(common)
        stack.callback(bare.end)
        entered.append(bare)
        found: dict[tuple[str, int], list[Round]] = {}
        turns = [(number, count) for number in range(ROUNDS) for count in CONNECTIONS]
        for number, connections in track(turns, "rounds", console=Console(stderr=True), transient=True):
            for one in entered[number % len(entered) :] + entered[: number % len(entered)]:
                result = await _round(one, channel, folder / "deliveries", path, connections)
                found.setdefault((one.name, connections), []).append(result)
            alone = await _published(bus, channel, bodies, connections)
            found.setdefault((PUBLISHING, connections), []).append(alone)
    for connections in CONNECTIONS:
        _show({name: found[name, connections] for name in [*(one.name for one in entered), PUBLISHING]}, connections)


async def _subscriber(stack: AsyncExitStack) -> Any:
    """A third queue for all events, as another service would have."""
    connection = await stack.enter_async_context(await aio_pika.connect(os.environ["AMQP_URL"]))
    channel = await connection.channel()
    queue = await channel.declare_queue(SUBSCRIBER, durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(EXCHANGE, "clickup.#")
    stack.push_async_callback(channel.queue_delete, SUBSCRIBER)
    return channel


def _deliveries(secret: str) -> bytes:
    """Lines of signature and body: changes of names, with the history that ClickUp sends, of about 1.2 KB."""
    workspace = Simulator(seed=4, token="pk_48213377_BENCH").workspace  # noqa: S106  the simulator's own
    list_id = workspace.create_space("Bench")[1]["list_id"]
    task_id, lines = workspace.create_task(list_id, "0")[0]["task_id"], []
    for number in range(BODIES):
        for delivery in workspace.rename_task(task_id, f"{number} " + "x" * 200):
            body = orjson.dumps(delivery)
            lines.append(sign(secret, body).encode() + b" " + body)
    return b"\n".join(lines) + b"\n"


async def _gate(one: Contestant, channel: Any, path: str, secret: str) -> None:
    """Raises `SystemExit` with what it does wrong."""
    body = b'{"event":"taskUpdated","task_id":"868cq4m2x","webhook_id":"w","history_items":[{"id":"1"}]}'
    good, url = sign(secret, body), f"http://127.0.0.1:{one.port}{path}"
    async with httpx.AsyncClient(timeout=10) as http:

        async def post(signature: str) -> int:
            with suppress(httpx.HTTPError):
                return (await http.post(url, content=body, headers={"x-signature": signature})).status_code
            return 0

        deadline = time.monotonic() + START_SECONDS
        while await post("0" * 64) != 403:
            if time.monotonic() > deadline:
                raise SystemExit(f"{one.name} does not refuse a wrong signature, or does not answer")
            await asyncio.sleep(0.2)
        await _purge(channel)
        if await post(good) != 200 or await _counted(channel, 1) != [1, 1, 1]:
            raise SystemExit(f"{one.name}: one delivery is not in exactly its three queues")
        if one.name != LEAST and (wrong := await _other_than_ours(channel, path, body)):
            raise SystemExit(f"{one.name}: the event's {wrong} is not as ours")
        if one.name in {OURS, CROWDED}:
            return  # keeps what no queue takes in its spool, which the suite proves
        for queue in FULL:
            await (await channel.get_queue(queue)).unbind(EXCHANGE, "clickup.#")
        status = await post(good)
        for queue in FULL:
            await (await channel.get_queue(queue)).bind(EXCHANGE, "clickup.#")
        if status < 500:
            raise SystemExit(f"{one.name}: what no queue takes is answered {status}")


async def _other_than_ours(channel: Any, path: str, body: bytes) -> str | None:
    """Which attribute of the event in the subscriber's queue is another one than ours would be."""
    message = await (await channel.get_queue(SUBSCRIBER)).get(timeout=10)
    await message.ack()
    found = Envelope.decode({**message.headers, CONTENT_TYPE: message.content_type}, message.body)
    id_ = UUID(path.rpartition("/")[2])
    known = Known(id=id_, provider="clickup", enabled=True)
    ours = wrap(body, provider=providers()["clickup"], known=known, now=found.time, traceparent=found.traceparent)
    if message.routing_key != ours.routing_key:
        return "routing key"
    if found.published is None:
        return "time of publishing"
    return next(
        (one.name for one in fields(ours) if one.compare and getattr(found, one.name) != getattr(ours, one.name)), None
    )


async def _round(one: Contestant, channel: Any, deliveries: Path, path: str, connections: int) -> Round:
    await _purge(channel)
    before = one.cpu()
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(HERE / "signed.lua"),
        f"http://127.0.0.1:{one.port}", "--", str(deliveries), path,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    told = orjson.loads(said.splitlines()[-1])
    taken = told["answers"] - told["refused"]
    used = one.cpu() - before
    lost = taken - min(await _counted(channel, taken)) if one.name != BARE else 0
    return Round(
        rate=taken / told["seconds"], cpu=used / max(taken, 1) * 1e6, p50=told["p50"], p99=told["p99"],
        memory=one.memory(), lost=max(lost, 0) + told["refused"],
    )  # fmt: skip


async def _published(bus: RabbitMQ, channel: Any, bodies: Sequence[bytes], connections: int) -> Round:
    """Publishing alone, by our adapter in this process: so many at a time, each confirmed."""
    await _purge(channel)
    ends, waits = time.perf_counter() + SECONDS, list[float]()
    integration_id, now = uuid4(), datetime.now(UTC)

    async def publish(number: int) -> None:
        while (begun := time.perf_counter()) < ends:
            body = bodies[len(waits) % len(bodies)]
            event = Envelope(
                id=uuid4(), source="/bench", type="clickup.task.updated", subject=f"task/{number}", data=body,
                integration_id=integration_id, time=now,
            )  # fmt: skip
            await bus.publish([event], within=10)
            waits.append((time.perf_counter() - begun) * 1000)

    used, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*map(publish, range(connections)))
    seconds, used = time.perf_counter() - began, time.process_time() - used
    lost = len(waits) - min(await _counted(channel, len(waits)))
    cuts = statistics.quantiles(waits, n=100)
    return Round(
        rate=len(waits) / seconds, cpu=used / len(waits) * 1e6, p50=cuts[49], p99=cuts[98], memory=0.0,
        lost=max(lost, 0),
    )  # fmt: skip


async def _purge(channel: Any) -> None:
    for queue in FULL:
        await (await channel.get_queue(queue)).purge()


async def _counted(channel: Any, wanted: int) -> list[int]:
    """Messages in the three queues, once they are as many as wanted, or have been too few for long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = [(await channel.declare_queue(queue, passive=True)).declaration_result.message_count for queue in FULL]
        if min(found) >= wanted or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


def _show(found: Mapping[str, Sequence[Round]], connections: int) -> None:
    """Medians, and ratios to Go round by round; to ours where there is no Go."""
    baseline = "Go" if "Go" in found else OURS
    grid = Table(box=None, header_style="bold", pad_edge=False)
    titles = ("contestant", "requests/s", f"against {baseline}", "CPU µs an event", "p50 ms", "p99 ms", "MB", "lost")
    for title in titles:
        grid.add_column(title, justify="left" if title == "contestant" else "right")
    for name, rounds in found.items():
        ratio = statistics.median(
            one.rate / max(other.rate, 1) for one, other in zip(rounds, found[baseline], strict=True)
        )

        def middle(of: str, rounds: Sequence[Round] = rounds) -> float:
            return float(statistics.median(getattr(one, of) for one in rounds))

        grid.add_row(
            name, f"{middle('rate'):,.0f}", f"{ratio:.2f}", f"{middle('cpu'):.0f}", f"{middle('p50'):.1f}",
            f"{middle('p99'):.1f}", f"{middle('memory'):.0f}", str(sum(one.lost for one in rounds)),
        )  # fmt: skip
    Console().print(f"{connections} connections", style="bold")
    Console().print(grid)
    Console().print(
        f"Signed deliveries of 1.2 KB to three quorum queues, each confirmed before the answer; medians of {ROUNDS} "
        f"interleaved rounds of {SECONDS} s; {os.cpu_count()} cores shared by wrk, the contestant, RabbitMQ and "
        "PostgreSQL. kb-ingest with its log line for each delivery, as it is run.",
        style="dim",
    )


if __name__ == "__main__":
    uvloop.run(main())
