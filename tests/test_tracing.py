"""Traces: from ClickUp's request through the broker to the row, as a collector gets them; and what they never do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika
import httpx
import orjson
import pytest
import structlog
from aio_pika.exceptions import ChannelNotFoundEntity

from cli.settings import Secret, Settings, load
from cli.tracing import spans as library
from cli.tracing.calls import pattern
from cli.tracing.choice import parts
from cli.tracing.parts import Parts
from cli.tracing.traced import Traced
from consumers.outcome import Held
from events.envelope import Envelope
from events.topology import KNOWLEDGE, QUEUES, SPOOL
from integrations.clickup.webhook import sign
from integrations.sealing import Keyring
from schema.postgres import Database
from tests import source
from tests.collector import Collector, Span, collecting
from tests.conftest import KEY, Connected, connect, sample, until
from tests.house import wrapped
from tests.services.server import free_port
from tests.source import Source
from tests.stack import Stack

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TOKEN = "pk_marker_of_the_token"
MARKER = "marker-of-what-nobody-may-see"
SERVER_NAME = "POST /webhooks/{provider}/{integration_id}"
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
ROOT = Path(__file__).parents[1]
FEW = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5"}
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100", "COALESCE_SECONDS": "0.1"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


@pytest.fixture
async def empty_amqp_url(amqp_url: str) -> str:
    """A broker on which nothing waits that other tests left: a batch's own spans are below its first event."""
    async with await aio_pika.connect(amqp_url) as connection:
        for queue in QUEUES:
            with suppress(ChannelNotFoundEntity):
                channel = await connection.channel()
                await (await channel.get_queue(queue.name)).purge()
    return amqp_url


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=7, verify=False) as client:  # noqa: S501  which takes long to make
        yield client


@dataclass(frozen=True, slots=True)
class Sender:
    """Delivers to a stack."""

    http: httpx.AsyncClient
    stack: Stack
    connected: Connected

    async def post(self, body: bytes, **headers: str) -> httpx.Response:
        """A signed delivery's answer."""
        signed = {"x-signature": sign(self.connected.secret, body), **headers}
        return await self.http.post(
            f"{self.stack.url}/webhooks/clickup/{self.connected.id}", content=body, headers=signed
        )


def marked(name: str) -> bytes:
    """A sample with a marker in it."""
    return orjson.dumps(orjson.loads(sample(name)) | {"note": MARKER})


async def test_one_delivery_is_one_trace(
    tmp_path: Path,
    empty_amqp_url: str,
    database_url: str,
    database: Database,
    sql: Any,
    keyring: Keyring,
    collector: Collector,
    http: httpx.AsyncClient,
) -> None:
    """From the request to the statistics every span hangs together under ClickUp's own, with the names of the
    conventions, and logs and delivery log have the same trace id; no payload, header, setting or answer is in any.
    """
    connected = await connect(database, keyring, token=TOKEN)
    async with Source().serving() as clickup:
        clickup.answers = source.story() | {f"task/{source.TASK}": source.task(name=MARKER)}
        stack = Stack(tmp_path, amqp_url=empty_amqp_url, database_url=database_url, clickup_url=clickup.url)
        stack.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
        stack.start("ingest")
        stack.start("consume", "knowledge", "sync-state", "journal")
        sender = Sender(http, stack, connected)
        try:
            await stack.ready()
            given = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-marker": MARKER}
            answer = await sender.post(marked("task-status-updated"), **given)
            event_id = answer.json()["event_id"]
            wanted = {"settle kb.sync-state", "settle kb.journal", "settle kb.knowledge"}
            await until(lambda: wanted <= {span.name for span in collector.trace(TRACE)})
            await sender.post(orjson.dumps({"event": MARKER, "webhook_id": connected.webhook_id}))
            await until(lambda: any(span.attributes.get("kb.settled") == "dead_letter" for span in collector.spans))
            refused = await sender.post(b"{}", **{"x-signature": "0" * 64})
            journaled = await sql.fetchval("SELECT traceparent FROM kb.journal WHERE event_id = $1", UUID(event_id))
        finally:
            await stack.end()
    assert (answer.status_code, refused.status_code) == (200, 403)
    _hangs_together(collector.trace(TRACE))
    _is_as_the_conventions_say(collector.trace(TRACE), event_id)
    assert {line["traceparent"].split("-")[1] for line in _lines(stack, event_id)} == {TRACE}
    assert journaled.split("-")[1] == TRACE
    sent = b"".join(collector.bodies)
    for secret in (MARKER, TOKEN, connected.secret, KEY, source.TASK, "pk_", "x-signature", "amqp://"):
        assert secret.encode() not in sent, secret
    answered = [span.attributes["http.response.status_code"] for span in collector.spans if span.kind == SERVER]
    assert answered == [200, 200]
    assert {span.service for span in collector.spans} == {
        "kb-ingest-ingest",
        "kb-ingest-knowledge-sync-state-journal",
    }


def _lines(stack: Stack, event_id: str) -> list[dict[str, str]]:
    lines = [*stack.logs("event.received"), *stack.logs("event.settled")]
    found = [line for line in lines if line.get("event_id") == event_id]
    assert len(found) == 3
    return found


def _hangs_together(spans: list[Span]) -> None:
    """Each is below another one of the trace, and the request's below ClickUp's."""
    ids = {span.id: span for span in spans}
    assert len(ids) == len(spans)
    assert [span.name for span in spans if span.parent not in ids] == [SERVER_NAME]
    (request,) = [span for span in spans if span.name == SERVER_NAME]
    assert request.parent == PARENT

    def above(span: Span) -> list[str]:
        return [span.name, *(above(ids[span.parent]) if span.parent in ids else [])]

    ways = {tuple(above(span)) for span in spans}
    accepted = ("publish kb.events", SERVER_NAME)
    knowledge = ("process kb.knowledge", *accepted)
    assert ways >= {
        ("process kb.journal", *accepted),
        ("settle kb.journal", *accepted),
        ("settle kb.knowledge", *accepted),
        ("GET /api/v2/task/{id}", *knowledge),
        ("claim", "transaction", *knowledge),
        ("outbox_add", "transaction", *knowledge),
        ("settle kb.sync-state", "publish kb.events", *knowledge),
        ("sync_fold", "transaction", "process kb.sync-state", "publish kb.events", *knowledge),
    }


def _is_as_the_conventions_say(spans: list[Span], event_id: str) -> None:
    by_name = {span.name: span for span in spans}
    request, reading, claim = by_name[SERVER_NAME], by_name["GET /api/v2/task/{id}"], by_name["claim"]
    assert request.kind == SERVER
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/webhooks/{provider}/{integration_id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    assert (reading.kind, reading.attributes["url.template"]) == (CLIENT, "/api/v2/task/{id}")
    assert (claim.kind, claim.attributes) == (CLIENT, {"db.system.name": "postgresql", "db.query.summary": "claim"})
    for name, kind, type_ in (
        ("publish kb.events", PRODUCER, "send"),
        ("process kb.journal", CONSUMER, "process"),
        ("settle kb.journal", CLIENT, "settle"),
    ):
        span = next(span for span in spans if span.name == name and span.attributes["cloudevents.event_id"] == event_id)
        operation, where = name.split()
        assert span.kind == kind
        assert (
            span.attributes.items()
            >= {
                "messaging.system": "rabbitmq",
                "messaging.operation.name": operation,
                "messaging.operation.type": type_,
                "messaging.destination.name": where,
                "cloudevents.event_type": "clickup.task.status_updated",
            }.items()
        )
    assert not any(span.failed for span in spans)
    assert by_name["settle kb.knowledge"].attributes["kb.settled"] == "ack"


async def test_a_bad_collector_holds_nobody(
    tmp_path: Path, amqp_url: str, database_url: str, connected: Connected, http: httpx.AsyncClient
) -> None:
    """While the collector is away, or never answers, deliveries are answered as ever; it is one line, and the end is in
    time.
    """
    with collecting(slow=True) as slow:
        stacks = []
        for name, url in (("away", f"http://127.0.0.1:{free_port()}"), ("slow", slow.url)):
            folder = tmp_path / name
            folder.mkdir()
            stack = Stack(folder, amqp_url=amqp_url, database_url=database_url, clickup_url="http://127.0.0.1:1")
            stack.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **SOON, **FEW}
            stack.start("ingest")
            stacks.append(stack)
        try:
            for stack in stacks:
                await stack.ready()
            took = await asyncio.gather(*(_hold_up(Sender(http, stack, connected)) for stack in stacks))
            started = time.monotonic()
        finally:
            await asyncio.gather(*(stack.end() for stack in stacks))
    assert time.monotonic() - started < 6
    assert [process.returncode == 0 for stack in stacks for process in stack.started] == [True, True]
    assert max(took) < 2  # a try of the slow one takes longer
    assert [len(stack.logs("traces.unsent")) for stack in stacks] == [1, 1]
    assert [line for stack in stacks for line in _strange(stack)] == []
    assert slow.calls


def _strange(stack: Stack) -> list[bytes]:
    """Lines that are not ours."""
    lines = b"".join(log.read_bytes() for log in stack.folder.glob("*.log")).splitlines()
    return [line for line in lines if not line.startswith(b'{"')]


async def _hold_up(sender: Sender) -> float:
    """How long the slowest of some deliveries took, from before the collector fails until well after."""
    took: list[float] = []
    while len(took) < 40 or not sender.stack.logs("traces.unsent"):
        started = time.monotonic()
        assert (await sender.post(sample("task-status-updated"))).status_code == 200
        took.append(time.monotonic() - started)
    return max(took)


IMPORTED = """
import sys
from cli import ingest_program, main
from cli.settings import load
ingest_program.ingest_app(load())
print([name for name in sys.modules if name.startswith("opentelemetry")])
from cli import gallery_program
gallery_program.gallery_app(load())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""
SERVERS = {
    "DATABASE_URL": "postgresql://user:password@127.0.0.1:9/kb",
    "AMQP_URL": "amqp://user:password@127.0.0.1:9/",
    "INTEGRATION_ENCRYPTION_KEY": KEY,
}


def test_without_an_endpoint_nothing_is_imported(tmp_path: Path) -> None:
    """Whatever else is set. FastAPI itself imports OpenTelemetry's API, so for the gallery that is what sends."""
    environment = {**SERVERS, "OTEL_SERVICE_NAME": "mine", "OTEL_TRACES_EXPORTER": "otlp", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("[]\n[]\n", "")


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is true"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "OTEL_TRACES_EXPORTER is another than otlp"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is another than http/protobuf"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "an OTEL_ variable is malformed (ValueError)"),
        ({}, "the extra `otel` is not installed: pip install --require-hashes -r constraints-otel.txt"),
    ],
)
def test_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], why: str) -> None:
    """Where a variable says so or nothing sensible, and without the extra, the parts are the plain ones: one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if not variables:
        monkeypatch.setitem(sys.modules, "cli.tracing.traced", None)
    with structlog.testing.capture_logs() as said:
        made_of = parts(Settings(otel_exporter_otlp_endpoint=Secret("http://127.0.0.1:9")), "ingest")
    assert type(made_of) is Parts
    assert [(line["event"], line["why"]) for line in said] == [("traces.off", why)]


def test_what_is_in_env_files_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of OpenTelemetry's variables, and the environment before the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_SERVICE_NAME"):
        monkeypatch.setenv(name, "")
    (tmp_path / ".env").write_text("OTEL_TRACES_EXPORTER=none\nOTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8\n")
    with structlog.testing.capture_logs() as said:
        parts(load(), "ingest")
    assert [line["why"] for line in said] == ["OTEL_TRACES_EXPORTER is another than otlp"]
    assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:9"


def test_paths_tell_no_ids() -> None:
    """What is no word of ClickUp's API is left out of a call's name, in whatever place."""
    assert pattern("/api/v2/task/868cq4m2x/comment") == "/api/v2/task/{id}/comment"
    assert pattern("/api/v3/workspaces/9012345678/docs/abc/pages") == "/api/v3/workspaces/{id}/docs/{id}/pages"
    assert pattern("/of/a/proxy/v2/space/1/tag") == "/{id}/{id}/{id}/v2/space/{id}/tag"


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, collector: Collector) -> Iterator[Parts]:
    """Parts of a program in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "test")
    settings = Settings(otel_exporter_otlp_endpoint=Secret(collector.url))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    made_of = parts(settings, "test")
    assert isinstance(made_of, Traced)
    yield made_of
    made_of._tracer._provider.shutdown()


def events(connected: Connected, count: int) -> list[Envelope]:
    return wrapped(connected, *(sample("space-updated") for _ in range(count)))


async def test_a_batch_is_in_the_trace_of_each_of_its_events(traced: Parts, collector: Collector) -> None:
    """Each has its own span with its own outcome; what is done for all is below the first, to which the others link.
    Of an error only its kind is told.
    """
    batch = events(Connected(), 3)
    seen: list[Envelope] = []

    async def handle(envelopes: Sequence[Envelope]) -> dict[UUID, Exception]:
        seen.extend(envelopes)
        async with traced.client(transport=httpx.MockTransport(lambda _: httpx.Response(503, text=MARKER))) as http:
            await http.get("http://source/api/v2/task/1", params={"q": MARKER}, headers={"authorization": MARKER})
        return {envelopes[1].id: Held(1.0), envelopes[2].id: ValueError(MARKER)}

    errors = await traced.handle(handle, KNOWLEDGE)(batch)
    assert list(errors) == [one.id for one in batch[1:]]
    traced.flush()
    own = {span.trace: span for span in collector.spans if span.name == "process kb.knowledge"}
    processed = [own[(one.traceparent or "").split("-")[1]] for one in batch]
    assert [span.parent for span in processed] == [(one.traceparent or "").split("-")[2] for one in batch]
    assert [one.traceparent for one in seen] == [f"00-{span.trace}-{span.id}-01" for span in processed]
    assert [span.links for span in processed] == [[], [processed[0].id], [processed[0].id]]
    assert [span.attributes["kb.outcome"] for span in processed] == ["done", "held", "failed"]
    assert [(span.failed, span.attributes.get("error.type")) for span in processed] == [
        (False, None), (False, None), (True, "ValueError"),
    ]  # fmt: skip
    (call,) = [span for span in collector.spans if span.kind == CLIENT]
    assert (call.name, call.parent, call.failed) == ("GET /api/v2/task/{id}", processed[0].id, True)
    assert MARKER.encode() not in b"".join(collector.bodies)


async def test_what_breaks_a_batch_breaks_its_spans(traced: Parts, collector: Collector) -> None:
    """A handler that raises, raises; each span has the kind of the error. Outside of a batch no call has a span."""

    async def handle(_: Sequence[Envelope]) -> dict[UUID, Exception]:
        raise KeyError(MARKER)

    with pytest.raises(KeyError):
        await traced.handle(handle, KNOWLEDGE)(events(Connected(), 2))
    async with traced.client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as http:
        await http.get("http://source/api/v2/task/1")
    traced.flush()
    assert [(span.failed, span.attributes["error.type"]) for span in collector.spans] == [(True, "KeyError")] * 2
    assert MARKER.encode() not in b"".join(collector.bodies)


async def test_the_spool_is_on_the_way(
    traced: Parts, collector: Collector, database: Database, connected: Connected
) -> None:
    """What waits there was published to it, in its trace, and is published from there below that."""
    spool, (event,) = traced.spool(database), events(connected, 1)
    await spool.put(SPOOL, [event], within=5)
    subscription = await spool.subscribe(SPOOL, prefetch=1)
    (delivery,) = await subscription.receive(limit=1, within=5)
    await spool.close()
    traced.flush()
    (span,) = collector.spans
    assert (span.name, span.kind, span.attributes["messaging.system"]) == ("publish kb.spool", PRODUCER, "postgresql")
    assert (event.traceparent or "") == f"00-{span.trace}-{span.parent}-01"
    assert delivery.headers["traceparent"] == f"00-{span.trace}-{span.id}-01"


async def test_what_is_not_sampled_keeps_its_trace(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, collector: Collector
) -> None:
    """OTEL_TRACES_SAMPLER decides; nothing is sent, and messages go on in the same trace, with the flag for it."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    traced: Parts = request.getfixturevalue("traced")
    batch = events(Connected(), 2)
    seen: list[Envelope] = []

    async def handle(envelopes: Sequence[Envelope]) -> dict[UUID, Exception]:
        seen.extend(envelopes)
        return {}

    await traced.handle(handle, KNOWLEDGE)(batch)
    traced.flush()
    assert [(one.traceparent or "").split("-")[1] for one in seen] == [
        (one.traceparent or "").split("-")[1] for one in batch
    ]
    assert {(one.traceparent or "")[-3:] for one in seen} == {"-00"}
    assert collector.calls == 0


async def test_the_last_spans_have_a_deadline(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, collector: Collector
) -> None:
    """A collector that does not answer holds a stop for as long as it may."""
    monkeypatch.setattr(library, "FLUSH_SECONDS", 0.2)
    traced: Parts = request.getfixturevalue("traced")
    collector.slow = threading.Event()

    async def handle(_: Sequence[Envelope]) -> dict[UUID, Exception]:
        return {}

    await traced.handle(handle, KNOWLEDGE)(events(Connected(), 1))
    started = time.monotonic()
    traced.flush()
    took = time.monotonic() - started
    collector.slow.set()
    assert 0.2 <= took < 1
