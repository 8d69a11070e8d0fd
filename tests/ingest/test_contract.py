"""Every row of the table of answers, over a real socket, with a real broker and a real database."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import uvicorn

from cli.serving import InProcessServer, http_server
from events.bus import Subscription
from events.embedded import Embedded
from events.envelope import Envelope
from events.rabbitmq import RabbitMQ
from events.topology import QUEUES, SPOOL, Queue
from ingest.app import build
from integrations.clickup.webhook import sign
from integrations.rotation import rotate
from integrations.sealing import Keyring
from schema import integrations as registry
from schema.postgres import Database
from tests.conftest import SECRET, WEBHOOK, Connected, connect, sample, until
from tests.proxy import Proxy

pytestmark = pytest.mark.usefixtures("swept")
LIMIT = 20_000
BODY_SECONDS = 0.6
TASK = sample("task-created")
FORBIDDEN = {401, 410, *range(300, 400)}


@dataclass(slots=True, kw_only=True)
class Running:
    """A running ingest, with the network to its servers in the test's hands."""

    url: str
    port: int
    broker: Proxy
    store: Proxy

    def address(self, connected: Connected | None) -> str:
        return f"{self.url}/webhooks/clickup" + (f"/{connected.id}" if connected else "")


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an application on a free port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = InProcessServer(http_server(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def ingest(amqp_url: str, database_url: str, keyring: Keyring) -> AsyncIterator[Running]:
    broker, store = await Proxy(amqp_url).mend(), await Proxy(database_url).mend()
    database = Database(store.url, program="ingest", role="kb_ingest")
    app = build(
        bus=RabbitMQ(broker.url),
        spool=Embedded(database),
        database=database,
        keyring=keyring,
        max_body=LIMIT,
        body_seconds=BODY_SECONDS,
    )
    async with serving(app) as port:
        yield Running(url=f"http://127.0.0.1:{port}", port=port, broker=broker, store=store)
    await broker.cut()
    await store.cut()


@pytest.fixture
async def queue(amqp_url: str, connected: Connected) -> AsyncIterator[Subscription]:
    """What is published for the integration."""
    mine = Queue(consumer=f"test.{uuid4()}", bindings=(f"#.{connected.id}",), ladder=(1.0,))
    bus = RabbitMQ(amqp_url, queues=[*QUEUES, mine])
    await bus.start(within=10)
    subscription = await bus.subscribe(mine, prefetch=100)
    yield subscription
    await subscription.close()  # first: one whose queue is deleted breaks the link, and no answer would come on it
    link = await bus.link()
    for name in (mine.name, mine.dead, mine.retry(0)):
        await link.channel.queue_delete(name)
    await bus.close()


async def post(url: str, body: bytes, *, signature: str | bytes | None = None, secret: str = SECRET) -> httpx.Response:
    """Deliver as ClickUp does; the answer must never be one that suspends the hook."""
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    given = sign(secret, body) if signature is None else signature
    if given != "":
        headers.append((b"x-signature", given if isinstance(given, bytes) else given.encode()))
    async with httpx.AsyncClient(timeout=10, follow_redirects=False) as http:
        started = time.monotonic()
        answer = await http.post(url, content=body, headers=headers)
        assert time.monotonic() - started < 5
        assert answer.status_code not in FORBIDDEN
        return answer


async def known(ingest: Running, connected: Connected) -> None:
    """Wait until ingest has heard of the integration."""

    async def heard() -> bool:
        return (await post(ingest.address(connected), b"", signature="x")).status_code == 403

    await until(heard)


async def received(queue: Subscription, count: int = 1) -> list[Envelope]:
    got: list[Envelope] = []
    async with asyncio.timeout(10):
        while len(got) < count:
            batch = await queue.receive(limit=count, within=1)
            got += [Envelope.decode(delivery.headers, delivery.body) for delivery in batch]
            await queue.ack(batch)
    return got


@pytest.mark.parametrize("named", [True, False], ids=["by integration", "by webhook_id"])
async def test_a_valid_delivery_is_accepted_and_published(
    ingest: Running, queue: Subscription, connected: Connected, named: bool
) -> None:
    """200 with the event's id, and exactly the received bytes on the exchange under the right routing key."""
    await known(ingest, connected)
    answer = await post(ingest.address(connected if named else None), TASK)
    assert answer.status_code == 200
    (event,) = await received(queue)
    assert answer.json() == {"event_id": str(event.id)}
    assert event.data == TASK
    assert event.routing_key == f"clickup.task.created.{connected.id}"
    assert event.subject == "task/868cq4m2x"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", event.traceparent or "")


async def test_equal_bytes_are_the_same_event_only_where_they_must_be(
    ingest: Running, queue: Subscription, connected: Connected
) -> None:
    """With history items equal bytes are a retry and share an id; without, each delivery may be another change."""
    await known(ingest, connected)
    ids = [(await post(ingest.address(connected), TASK)).json()["event_id"] for _ in range(2)]
    bare = [(await post(ingest.address(connected), sample("space-updated"))).json()["event_id"] for _ in range(2)]
    assert ids[0] == ids[1]
    assert bare[0] != bare[1]
    assert len(await received(queue, 4)) == 4


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[1]", b'"text"', b"{}", b'{"event":"taskFlew","task_id":"x"}', b'{"event":"taskUpdated"}',
     b"\xff\xfe\x00", b"[" * 5000, b'{"event":null}', b'{"event":{"a":1}}', b"event=taskUpdated&task_id=1",
     b'{"event":"taskUpdated","task_id":"' + b"x" * 9000 + b'"}'],
    ids=["empty", "no json", "array", "string", "no event", "unknown event", "no id", "binary", "deep", "null event",
         "object event", "form", "endless id"],
)  # fmt: skip
async def test_a_signed_body_is_kept_whatever_it_says(
    ingest: Running, queue: Subscription, connected: Connected, body: bytes
) -> None:
    """200; the raw bytes go to quarantine as `clickup.unrecognized`."""
    await known(ingest, connected)
    answer = await post(ingest.address(connected), body)
    assert answer.status_code == 200
    (event,) = await received(queue)
    assert (event.data, event.routing_key) == (body, f"clickup.unrecognized.{connected.id}")


@pytest.mark.parametrize(
    "signature",
    ["", "0", sign(SECRET, TASK)[:-1], sign(SECRET, TASK) + "0", sign("other", TASK), "ü".encode(), b"\xff" * 64,
     "sha256=" + sign(SECRET, TASK), "x" * 4000],
    ids=["missing", "short", "cut", "long", "other secret", "utf-8", "binary", "prefixed", "huge"],
)  # fmt: skip
async def test_a_bad_signature_is_403(
    ingest: Running, queue: Subscription, connected: Connected, signature: str | bytes
) -> None:
    """403 for any other header value than the right one, and nothing is published."""
    await known(ingest, connected)
    for address in (ingest.address(connected), ingest.address(None)):
        assert (await post(address, TASK, signature=signature)).status_code == 403
    assert await queue.receive(limit=1, within=0.3) == []


async def test_the_signature_is_of_the_bytes_not_of_the_json(ingest: Running, connected: Connected) -> None:
    """A body that says the same in other bytes is not what was signed."""
    await known(ingest, connected)
    spaced = TASK.replace(b'","', b'", "')
    assert (await post(ingest.address(connected), spaced, signature=sign(SECRET, TASK))).status_code == 403


@pytest.mark.parametrize(
    "path", ["clickup/{other}", "clickup/nonsense", "clickup/%00", "jira", "jira/{known}", "clickup"]
)
async def test_what_nobody_knows_is_404(ingest: Running, connected: Connected, path: str) -> None:
    """404 for an integration, a webhook or a provider that does not exist."""
    await known(ingest, connected)
    body = TASK.replace(WEBHOOK.encode(), b"11111111-9c1a-4f0e-8a57-1f2f1f0a9b3d")
    address = f"{ingest.url}/webhooks/" + path.format(other=uuid4(), known=connected.id)
    assert (await post(address, body)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/webhooks/clickup/", "/webhooks/clickup/{known}/", "//webhooks/clickup", "/healthz/"]
)
async def test_nothing_is_ever_redirected(ingest: Running, connected: Connected, path: str) -> None:
    """No 3xx, also where a framework likes to mend a slash."""
    answer = await post(ingest.url + path.format(known=connected.id), TASK)
    assert answer.status_code in (404, 405)


async def test_a_disabled_integration_is_ignored(ingest: Running, connected: Connected, database: Database) -> None:
    """200 `ignored`, counted; a wrong signature is refused there too; enabling works within moments."""
    await known(ingest, connected)
    await registry.enable(database, connected.id, enabled=False)

    async def ignored() -> bool:
        return bool((await post(ingest.address(connected), TASK)).json() == {"status": "ignored"})

    await until(ignored)
    assert (await post(ingest.address(connected), TASK, signature="0")).status_code == 403
    async with httpx.AsyncClient() as http:
        exposition = (await http.get(f"{ingest.url}/metrics")).text
    assert re.search(r'kb_ingest_requests_total\{outcome="ignored",status="200"\} [1-9]', exposition)


async def test_a_body_over_the_limit_is_413(ingest: Running, connected: Connected) -> None:
    """Refused by its declared length, and while streaming as soon as it is over, without reading it all."""
    await known(ingest, connected)
    assert (await post(ingest.address(connected), b"x" * LIMIT, signature="0")).status_code == 403
    assert (await post(ingest.address(connected), b"x" * (LIMIT + 1))).status_code == 413
    head = f"POST /webhooks/clickup/{connected.id} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    writer.write(head.encode() + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_a_slow_body_is_408(ingest: Running, connected: Connected) -> None:
    """A body that does not end in time is answered, not waited for."""
    await known(ingest, connected)
    head = f"POST /webhooks/clickup/{connected.id} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    writer.write(head.encode() + b"{")
    started = time.monotonic()
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    assert BODY_SECONDS * 0.9 < time.monotonic() - started < BODY_SECONDS + 1
    writer.close()


async def test_a_client_that_hangs_up_harms_nobody(ingest: Running, connected: Connected) -> None:
    """A connection closed in mid-body is counted and forgotten."""
    await known(ingest, connected)
    _, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    writer.write(f"POST /webhooks/clickup/{connected.id} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
    await writer.drain()
    writer.transport.abort()
    assert (await post(ingest.address(connected), TASK)).status_code == 200


async def test_several_secrets_are_valid_at_once(
    ingest: Running, connected: Connected, keyring: Keyring, sql: Any
) -> None:
    """During a rotation the old and the new secret both count; an expired one does not."""
    await known(ingest, connected)
    for secret, expires in (("new secret", None), ("old secret", "2001-01-01")):
        id_ = uuid4()
        sealed = keyring.seal(secret.encode(), row=f"webhook_secrets/{id_}")
        await sql.execute(
            "INSERT INTO kb.webhook_secrets (id, integration_id, webhook_id, secret_sealed, expires_at)"
            " VALUES ($1, $2, 'another', $3, $4::text::timestamptz)",
            id_, connected.id, sealed, expires,
        )  # fmt: skip

    async def accepted() -> bool:
        return (await post(ingest.address(connected), TASK, secret="new secret")).status_code == 200

    await until(accepted)
    assert (await post(ingest.address(connected), TASK)).status_code == 200
    assert (await post(ingest.address(connected), TASK, secret="old secret")).status_code == 403


async def test_a_rotation_of_keys_goes_unnoticed(
    amqp_url: str, connected: Connected, keyring: Keyring, database: Database, sql: Any
) -> None:
    """While secrets are sealed anew every genuine delivery is accepted; then one signed with a moved secret, too."""
    await sql.execute("UPDATE kb.integrations SET webhook_secret = 'plain secret'")
    ring = Keyring([bytes(range(100, 132)), *keyring.keys])
    app = build(
        bus=RabbitMQ(amqp_url), spool=Embedded(database), database=database, keyring=ring,
        max_body=LIMIT, body_seconds=BODY_SECONDS,
    )  # fmt: skip
    async with serving(app) as port:
        url = f"http://127.0.0.1:{port}/webhooks/clickup/{connected.id}"

        async def accepted(secret: str = SECRET) -> bool:
            return (await post(url, TASK, secret=secret)).status_code == 200

        await until(accepted)
        assert not await accepted("plain secret")
        rotating = asyncio.create_task(rotate(database, ring, lambda _seen, _total: None))
        while not rotating.done():
            assert await accepted()
        assert (await rotating).done
        await until(lambda: accepted("plain secret"))
        assert await accepted()
        assert not await accepted("another secret")


async def test_broker_down_the_spool_takes_it_and_drains_in_order(
    ingest: Running, queue: Subscription, connected: Connected, sql: Any
) -> None:
    """Still 200 and still ready; when the broker is back the events arrive in order with the ids that were given."""
    await known(ingest, connected)
    await ingest.broker.cut()
    ids = []
    for number in range(30):
        answer = await post(ingest.address(connected), TASK.replace(b"868cq4m2x", f"task{number}".encode()))
        assert answer.status_code == 200
        ids.append(answer.json()["event_id"])
    assert (await _get(f"{ingest.url}/readyz")).status_code == 200
    assert await sql.fetchval("SELECT count(*) FROM kb.queue_messages WHERE queue = $1", SPOOL.name) == 30
    await ingest.broker.mend()
    events = await received(queue, 30)
    assert [str(event.id) for event in events] == ids
    assert [event.subject for event in events] == [f"task/task{number}" for number in range(30)]

    async def drained() -> bool:
        return bool(await sql.fetchval("SELECT count(*) = 0 FROM kb.queue_messages WHERE queue = $1", SPOOL.name))

    await until(drained)


async def test_database_down_the_broker_takes_it(ingest: Running, queue: Subscription, connected: Connected) -> None:
    """With the secrets from the snapshot: 200, published, ready; a bad signature is still 403."""
    await known(ingest, connected)
    await ingest.store.cut()
    assert (await post(ingest.address(connected), TASK)).status_code == 200
    assert (await post(ingest.address(connected), TASK, signature="0")).status_code == 403
    assert len(await received(queue)) == 1
    assert (await _get(f"{ingest.url}/readyz")).status_code == 200


async def test_both_down_is_503_and_heals(ingest: Running, connected: Connected) -> None:
    """503 with Retry-After, alive but not ready; accepted again as soon as one of them is back."""
    await known(ingest, connected)
    await ingest.broker.cut()
    await ingest.store.cut()
    answer = await post(ingest.address(connected), TASK)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert (await _get(f"{ingest.url}/readyz")).status_code == 503
    assert (await _get(f"{ingest.url}/healthz")).status_code == 200
    await ingest.store.mend()

    async def accepted() -> bool:
        return (await post(ingest.address(connected), TASK)).status_code == 200

    await until(accepted)


async def test_before_the_secrets_are_known_nobody_is_refused(amqp_url: str, keyring: Keyring) -> None:
    """Started while the database is away: 503, never 403 or 404, which would be wrong answers."""
    database = Database("postgresql://nobody@127.0.0.1:1/none", program="ingest")
    app = build(bus=RabbitMQ(amqp_url), spool=Embedded(database), database=database, keyring=keyring)
    async with serving(app) as port:
        answer = await post(f"http://127.0.0.1:{port}/webhooks/clickup/{uuid4()}", TASK)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert (await _get(f"http://127.0.0.1:{port}/readyz")).status_code == 503


async def test_a_stop_cuts_no_accepted_request(
    amqp_url: str, database_url: str, keyring: Keyring, connected: Connected, queue: Subscription
) -> None:
    """Requests that were being answered when the stop came are answered 200 and their events are there."""
    own = Database(database_url, program="ingest")
    app = build(bus=RabbitMQ(amqp_url), spool=Embedded(own), database=own, keyring=keyring)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server: uvicorn.Server = InProcessServer(http_server(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks/clickup/{connected.id}"
    bodies = [TASK.replace(b"868cq4m2x", f"task{number}".encode()) for number in range(40)]
    posts = [asyncio.create_task(post(url, body)) for body in bodies]
    await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)  # some are answered, others on their way
    server.should_exit = True
    answers = await asyncio.gather(*posts, return_exceptions=True)
    await task
    listener.close()
    accepted = [answer.json()["event_id"] for answer in answers if isinstance(answer, httpx.Response)]
    # one that was still in the kernel's queue when the socket closed was never accepted; ClickUp delivers it again
    assert all(isinstance(answer, httpx.Response | httpx.TransportError) for answer in answers)
    assert {answer.status_code for answer in answers if isinstance(answer, httpx.Response)} <= {200}
    assert accepted
    events = await received(queue, len(accepted))
    assert {str(event.id) for event in events} >= set(accepted)


async def test_tenants_do_not_share_secrets(
    ingest: Running, connected: Connected, database: Database, keyring: Keyring
) -> None:
    """One tenant's secret does not open another's address, and each hook leads to its own integration."""
    other = await connect(database, keyring, connected=Connected(webhook_id="b" * 36, secret="another tenant's"))
    await known(ingest, connected)
    await known(ingest, other)
    assert (await post(ingest.address(other), TASK)).status_code == 403
    assert (await post(ingest.address(connected), TASK, secret=other.secret)).status_code == 403
    body = orjson.dumps(orjson.loads(TASK) | {"webhook_id": other.webhook_id})
    assert (await post(ingest.address(None), body)).status_code == 403
    assert (await post(ingest.address(None), body, secret=other.secret)).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_the_operators_pages_answer(ingest: Running, path: str) -> None:
    """200 when all is well."""
    assert (await _get(ingest.url + path)).status_code == 200


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=5) as http:
        return await http.get(url)
