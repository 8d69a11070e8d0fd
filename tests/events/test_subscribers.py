"""The examples of docs/subscribing subscribe: what they print, refuse, trace and outlive."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

from events.topology import EXCHANGE
from integrations.clickup.webhook import sign
from integrations.sealing import Keyring
from schema.postgres import Database
from tests import source
from tests.collector import collecting
from tests.conftest import connect, sample, until
from tests.events.contract import ROOT
from tests.proxy import Proxy
from tests.services import node
from tests.source import Source
from tests.stack import Stack

DOCUMENT = (ROOT / "docs" / "subscribing.md").read_text()
HEADERS, CHANGE = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL))
QUEUE = "search.documents"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONSUMER = 5
PYTHON = (sys.executable, "subscriber.py")
NODE = ("node", "subscriber.mjs")
needs_node = pytest.mark.skipif(not node.installed(), reason=node.MISSING)


class Subscriber:
    """An example that runs, and a publisher for it."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel, folder: Path) -> None:
        self.connection = connection
        self.channel = channel
        self.printed, self.complained = folder / "printed", folder / "complained"

    async def publish(self, *, headers: dict[str, Any] | None = None, **changes: Any) -> None:
        """The message of the document, with changes."""
        body = json.dumps(CHANGE | changes).encode()
        message = aio_pika.Message(body, headers=headers or HEADERS, content_type="application/json")
        exchange = await self.channel.get_exchange(EXCHANGE)
        await exchange.publish(message, f"knowledge.task.updated.{uuid4()}")

    async def prints(self, *versions: int) -> None:
        """Wait until it has printed a line for each of these versions, and nothing else."""
        lines = [f"knowledge.task.updated 868c075n5 {one} {CHANGE['title']}" for one in versions]
        await until(lambda: len(self.printed.read_text().splitlines()) >= len(lines))
        assert self.printed.read_text().splitlines() == lines

    async def subscribes(self) -> None:
        """Wait until its queue has a reader, hence its bindings, too."""
        await until(self._reads)

    async def _reads(self) -> bool:
        channel = await self.connection.channel()
        try:
            queue = await channel.declare_queue(QUEUE, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        await channel.close()
        return bool(queue.declaration_result.consumer_count)

    async def waiting(self) -> int:
        """How many messages its queue has, without those that somebody holds unacknowledged."""
        channel = await self.connection.channel()
        queue = await channel.declare_queue(QUEUE, passive=True)
        await channel.close()
        return queue.declaration_result.message_count or 0


@asynccontextmanager
async def subscribing(
    program: tuple[str, str], amqp_url: str, folder: Path, **environment: str
) -> AsyncIterator[Subscriber]:
    """The example as a process, which in the end is asked to end. `environment` may lead it another way."""
    environment = {"PATH": os.environ["PATH"], "AMQP_URL": amqp_url} | environment
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        one = Subscriber(connection, channel, folder)
        with one.printed.open("wb") as printed, one.complained.open("wb") as complained:
            process = await asyncio.create_subprocess_exec(
                program[0], node.SUBSCRIBER / program[1], env=environment, stdout=printed, stderr=complained
            )
        try:
            await one.subscribes()
            yield one
            process.terminate()
            async with asyncio.timeout(10):
                await process.wait()
            if program == NODE:  # it ends in order, with everything settled
                assert (process.returncode, await one.waiting()) == (0, 0), one.complained.read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await channel.queue_delete(QUEUE)


@pytest.mark.parametrize("program", [PYTHON, pytest.param(NODE, marks=needs_node)], ids=["python", "node"])
async def test_they_print_a_change_once(program: tuple[str, str], amqp_url: str, tmp_path: Path) -> None:
    """However often and in what order it comes."""
    async with subscribing(program, amqp_url, tmp_path) as one:
        for version in (1, 2, 2, 1, 3):
            await one.publish(version=version)
        await one.prints(1, 2, 3)


@needs_node
async def test_what_breaks_the_contract_is_rejected(amqp_url: str, tmp_path: Path) -> None:
    """By the schemas or by the official CloudEvents SDK, with a line that says why; it does not come again. A value
    that a later version of the contract adds is no fault.
    """
    id_ = HEADERS["cloudEvents_id"]
    nameless = {name: value for name, value in HEADERS.items() if name != "cloudEvents_id"}
    async with subscribing(NODE, amqp_url, tmp_path) as one:
        await one.publish(version="two")
        await one.publish(version=1, headers=nameless)
        await one.publish(version=1, synced_at="yesterday")
        await one.publish(version=1, headers=HEADERS | {"cloudEvents_source": ""})
        await one.publish(version=1, headers=HEADERS | {"cloudEvents_Upper": "case"})
        await one.publish(version=1, action="moved", new="property")
        await one.prints(1)
    assert [line for line in one.complained.read_text().splitlines() if line.startswith("rejected")] == [
        f"rejected {id_} body/version must be integer",
        "rejected undefined headers must have required property 'cloudEvents_id'",
        f'rejected {id_} body/synced_at must match format "date-time"',
        f"rejected {id_} invalid payload",
        f"rejected {id_} invalid extension name: Upper",
    ]


@needs_node
async def test_work_that_failed_comes_again(amqp_url: str, tmp_path: Path) -> None:
    """After a pause, and neither lost nor acknowledged before."""
    failing = tmp_path / "failing.mjs"
    failing.write_text("""const { log } = console;
        console.log = () => { console.log = log; throw new Error('away') };""")
    async with subscribing(NODE, amqp_url, tmp_path, NODE_OPTIONS=f"--import={failing}") as one:
        await one.publish(version=1)
        await until(lambda: "failed" in one.complained.read_text())
        await one.prints()
        await one.prints(1)
    assert f"failed, comes again {HEADERS['cloudEvents_id']} away" in one.complained.read_text()


def test_the_lock_has_hashes_and_no_addresses() -> None:
    """Each package of the example is pinned by its name, version and hash, wherever it is had from."""
    text = node.LOCK.read_text()
    _, *packages = json.loads(text)["packages"].values()
    assert len(packages) > 100
    assert all(one["version"] and one["integrity"].startswith("sha512-") for one in packages)
    assert "://" not in text
    asked = json.loads((node.SUBSCRIBER / "package.json").read_text())
    versions = [*asked["dependencies"].values(), *asked["devDependencies"].values()]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in versions)


@needs_node
async def test_a_lost_connection_is_made_again(amqp_url: str, tmp_path: Path) -> None:
    """Also when the broker is away for a while, or the queue is deleted; what came meanwhile is read afterwards."""
    proxy = await Proxy(amqp_url).mend()
    async with subscribing(NODE, amqp_url, tmp_path, AMQP_URL=proxy.url) as one:
        await one.publish(version=1)
        await one.prints(1)
        await proxy.cut()
        await until(lambda: "ECONNREFUSED" in one.complained.read_text())
        await one.publish(version=2)
        await proxy.mend()
        await one.prints(1, 2)
        await one.channel.queue_delete(QUEUE)
        await one.subscribes()
        await one.publish(version=3)
        await one.prints(1, 2, 3)
    await proxy.cut()


@needs_node
@pytest.mark.timeout(120)
async def test_a_change_is_traced_into_another_language(
    tmp_path: Path, amqp_url: str, database_url: str, database: Database, keyring: Keyring
) -> None:
    """ClickUp's delivery through ingest, the consumer and the outbox to the subscriber in Node: its span is in the same
    trace, below ours that published the change. One of what it rejects is in the trace that the message names.
    """
    connected = await connect(database, keyring)
    body = sample("task-status-updated")
    headers = {"x-signature": sign(connected.secret, body), "traceparent": f"00-{TRACE}-{PARENT}-01"}
    with collecting() as collector:
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        async with Source().serving() as clickup, subscribing(NODE, amqp_url, tmp_path, **tracing) as one:
            clickup.answers = source.story() | {f"task/{source.TASK}": source.task()}
            stack = Stack(tmp_path, amqp_url=amqp_url, database_url=database_url, clickup_url=clickup.url)
            stack.environment |= tracing
            stack.start("ingest")
            stack.start("consume", "knowledge")
            try:
                await stack.ready()
                async with httpx.AsyncClient(timeout=7) as http:
                    url = f"{stack.url}/webhooks/clickup/{connected.id}"
                    assert (await http.post(url, content=body, headers=headers)).status_code == 200
                await until(lambda: source.TASK in one.printed.read_text(), within=30)
            finally:
                await stack.end()
            await one.publish(version="two")
            await until(lambda: "rejected" in one.complained.read_text())
    assert one.printed.read_text() == f"knowledge.task.created {source.TASK} 1 {source.task()['name']}\n"
    spans = {span.id: span for span in collector.trace(TRACE)}
    (theirs,) = [span for span in spans.values() if span.service == "search"]
    assert (theirs.name, theirs.kind, theirs.failed) == (f"process {QUEUE}", CONSUMER, False)
    ours = spans[theirs.parent]
    assert (ours.name, ours.service) == ("publish kb.events", "kb-ingest-knowledge")
    assert ours.attributes["cloudevents.event_id"] == theirs.attributes["cloudevents.event_id"]
    assert spans[ours.parent].name == "process kb.knowledge"
    _, trace, parent, _ = HEADERS["traceparent"].split("-")
    (rejected,) = collector.trace(trace)
    assert (rejected.parent, rejected.failed, rejected.attributes["error.type"]) == (parent, True, "Broken")
