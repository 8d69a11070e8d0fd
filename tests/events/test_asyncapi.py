"""The contract for subscribers, held against real messages, the official CloudEvents SDK, and what was released."""

from __future__ import annotations

import copy
import json
import random
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event
from jsonschema import Draft202012Validator

from events.topology import EXCHANGE
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.story import next_step, populate
from integrations.clickup.webhook import EVENTS, UNRECOGNIZED
from integrations.sealing import Keyring
from schema.postgres import Database
from schema.records import TYPES
from tests.conftest import SAMPLES, connect, until
from tests.events.contract import CURRENT, RELEASED, ROOT, SENT, Contract, breaks, incompatible, problems
from tests.services import node
from tests.stack import Stack

TOKEN = "pk_test_of_the_contract"
CONTRACT = Contract(CURRENT)


class Message(NamedTuple):
    """A message as a subscriber receives it."""

    key: str
    headers: dict[str, Any]
    content_type: str | None
    persistent: bool
    body: bytes

    @property
    def type(self) -> str:
        return str(self.headers["cloudEvents_type"])


@asynccontextmanager
async def subscribed(url: str) -> AsyncIterator[list[Message]]:
    """What is published while inside."""
    heard: list[Message] = []

    async def hear(one: AbstractIncomingMessage) -> None:
        persistent = one.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        heard.append(Message(one.routing_key or "", dict(one.headers), one.content_type, persistent, one.body))

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "#")
        await queue.consume(hear, no_ack=True)
        yield heard


def assert_promised(message: Message) -> None:
    """A message is what the contract says of its routing key."""
    promised = CONTRACT.message(message.key)
    assert problems(promised["headers"], message.headers) == []
    assert (message.content_type, message.persistent) == (promised["contentType"], True)
    assert message.key == f"{message.type}.{message.headers['cloudEvents_integrationid']}"
    if message.type != UNRECOGNIZED:
        assert problems(promised["payload"], json.loads(message.body)) == [], message.body


def assert_cloudevent(message: Message) -> None:
    """The official SDK reads a message as a CloudEvent 1.0."""
    read = from_amqp_event(AMQPMessage({"content-type": message.content_type}, message.headers, message.body))
    assert (read.get_specversion(), read.get_type()) == ("1.0", message.type)
    assert read.get_datacontenttype() == "application/json"
    assert str(UUID(read.get_id())) == message.headers["cloudEvents_id"]
    assert isinstance(time := read.get_time(), datetime)
    assert time.tzinfo is not None
    assert read.get_data() == json.loads(message.body)


@pytest.mark.timeout(180)
async def test_real_messages_are_what_the_contract_says(
    tmp_path: Path, amqp_url: str, database_url: str, database: Database, keyring: Keyring
) -> None:
    """Every sample through ingest, a simulated workspace through `knowledge`, an import, a replay: each message fits
    its schemas, comes with a routing key of exactly one channel, and is a CloudEvent to the official SDK.
    """
    simulator = Simulator(seed=5, token=TOKEN)
    async with simulator.serving() as api, subscribed(amqp_url) as heard:
        stack = Stack(tmp_path, amqp_url=amqp_url, database_url=database_url, clickup_url=api)
        one = await connect(database, keyring, token=TOKEN, workspace_id=simulator.workspace.team_id)
        hook, id_ = simulator.register_webhook(f"{stack.url}/webhooks/clickup/{one.id}"), uuid4()
        sealed = keyring.seal(hook.secret.encode(), row=f"webhook_secrets/{id_}")
        await database.execute("webhook_secret_add", id_, one.id, hook.id, sealed)
        try:
            stack.start("ingest")
            stack.start("consume", "knowledge", "imports", "journal")
            await stack.ready()
            await stack.run("send", *(path.stem for path in SAMPLES.glob("*.json")), "--integration", str(one.id))
            await simulator.apply(populate(simulator.workspace, spaces=1, tasks_per_list=2))
            chance = random.Random(7)  # noqa: S311  a story
            for _ in range(40):
                await simulator.apply(next_step(simulator.workspace, chance))
            await simulator.deliveries.drain()
            await stack.run("import", str(one.id))
            await until(lambda: any(message.type == "import.completed" for message in heard), within=60)
            await stack.run("events", "replay", "--all", "--integration", str(one.id), "--type", "clickup.goal")
            await until(lambda: any("cloudEvents_replayed" in message.headers for message in heard))
        finally:
            await stack.end()
            await simulator.close(grace=1)
    types = {message.type for message in heard}
    assert types >= {f"clickup.{entity}.{action}" for entity, action in EVENTS.values()} | {UNRECOGNIZED}
    assert types >= {"import.requested", "import.started", "import.progressed", "import.completed"}
    assert {type_.split(".")[1] for type_ in types if type_.startswith("knowledge.")} >= {"task", "comment", "goal"}
    for message in heard:
        assert_promised(message)
        assert_cloudevent(message)


def test_every_event_has_a_message() -> None:
    """All 28 events of ClickUp and all types of the knowledge base: one channel and one message each, none besides."""
    names = {event: f"clickup.{entity}.{action}" for event, (entity, action) in EVENTS.items()}
    for event, type_ in names.items():
        message = CONTRACT.message(f"{type_}.{uuid4()}")
        assert message["name"] == type_
        assert message["payload"]["properties"]["event"] == {"const": event}
    channels = [one for name, one in CONTRACT.document["channels"].items() if name.startswith("clickup")]
    told = [message["name"] for channel in channels for message in channel["messages"].values()]
    keys = [action for channel in channels for action in channel["parameters"].get("action", {}).get("enum", ())]
    assert sorted(told) == sorted([*names.values(), UNRECOGNIZED])
    assert len(keys) == len(names)
    change = CONTRACT.schemas["knowledge.change payload"]["properties"]
    parameters = CONTRACT.document["channels"]["knowledge"]["parameters"]
    assert set(change["type"]["enum"]) == set(parameters["type"]["enum"]) == set(TYPES.values())
    assert set(change["external_type"]["enum"]) == set(TYPES)


def test_schemas_are_schemas() -> None:
    """Each file is a JSON Schema of draft 2020-12, has no word that draft 7 reads otherwise, and is referred to."""
    files = sorted((CURRENT / "events").glob("*.json"))
    document = (CURRENT / "asyncapi.yaml").read_text()
    for file in files:
        text = file.read_text()
        schema = json.loads(text)
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$schema"]
        assert f"events/{file.name}" in document
        assert not re.search(r'"(prefixItems|unevaluated\w+|dependent\w+|\$dynamicRef|\$anchor)"', text)
        assert not re.search(r'"\$ref": "[^"]*",', text)  # draft 7 ignores what stands beside a reference
    assert len(files) == 5


def test_operations_receive_every_channel() -> None:
    """A subscriber finds an operation for each channel; the only thing it may send is a wish for a job."""
    operations = CONTRACT.document["operations"].values()
    received = [one["channel"]["address"] for one in operations if one["action"] == "receive"]
    assert sorted(received) == sorted(one["address"] for one in CONTRACT.document["channels"].values())
    sent = [one for one in operations if one["action"] == "send"]
    assert [f"{message['name']} payload" for one in sent for message in one["messages"]] == [SENT]


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.name)
def test_nothing_breaks_subscribers(released: Path) -> None:
    """Nothing that a released contract of this major version names is gone or has another type."""
    if released.name.split(".")[0] == CONTRACT.document["info"]["version"].split(".")[0]:
        assert incompatible(Contract(released), CONTRACT) == []


def test_a_changed_contract_has_another_version() -> None:
    """The released contract of today's version is the contract of today, letter by letter."""
    released = CURRENT / "compatibility" / CONTRACT.document["info"]["version"]
    for file in ("asyncapi.yaml", *(f"events/{path.name}" for path in (CURRENT / "events").iterdir())):
        assert (released / file).read_text() == (CURRENT / file).read_text(), file


def _gone(schema: Any) -> None:
    del schema["properties"]["title"]
    schema["required"].remove("title")


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (_gone, ["x.title is not required any more", "x.title is gone"]),
        (lambda schema: schema["required"].remove("title"), ["x.title is not required any more"]),
        (lambda schema: schema["properties"]["version"].update(type="string"), ["x.version has another type"]),
        (lambda schema: schema["properties"]["org_id"].update(type=["string", "null"]), ["x.org_id has another type"]),
        (lambda schema: schema["properties"]["action"]["enum"].remove("deleted"), ["x.action has no deleted any more"]),
        (lambda schema: schema["properties"]["synced_at"].pop("format"), ["x.synced_at has another format"]),
        (lambda schema: schema["properties"]["action"]["enum"].append("moved"), []),
        (lambda schema: schema["properties"].update(body={"type": "string"}), []),
        (lambda schema: schema["required"].append("body"), []),
        (lambda schema: schema["properties"]["title"].update(type="string"), []),
    ],
)
def test_what_breaks_is_found(change: Callable[[Any], None], broken: list[str]) -> None:
    """Removed, retyped, nullable, narrowed: named. Added, widened, stricter towards us: not."""
    old = CONTRACT.schemas["knowledge.change payload"]
    new = copy.deepcopy(old)
    change(new)
    assert list(breaks(old, new, "x")) == broken


def test_what_breaks_senders_is_found() -> None:
    """Of what subscribers write, also what becomes required or narrower breaks them."""
    old = {"type": "object", "properties": {"kind": {"type": ["string", "null"]}}}
    new = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    assert list(breaks(old, new, "x")) == []
    assert list(breaks(old, new, "x", sent=True)) == ["x.kind is required now", "x.kind has another type"]


@pytest.mark.skipif(not node.installed(), reason=node.MISSING)
def test_the_official_parser_has_no_complaint() -> None:
    """The AsyncAPI initiative's own parser finds neither an error nor a warning."""
    subprocess.run(["make", "asyncapi"], cwd=ROOT, check=True, timeout=60)
