"""Hostile clients before the real program: what they do is bounded, and a genuine delivery is accepted meanwhile."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from integrations.clickup.webhook import sign
from tests.conftest import SECRET, Connected, sample, until
from tests.proxy import Proxy
from tests.stack import Stack

pytestmark = pytest.mark.usefixtures("swept")
TASK = sample("task-created")
IDLE = 10_000
FLOOD = 600


@dataclass(slots=True, kw_only=True)
class Attacked:
    """A running ingest, through proxies to its servers."""

    stack: Stack
    process: subprocess.Popen[bytes]
    connected: Connected
    store: Proxy
    broker: Proxy

    @property
    def path(self) -> str:
        return f"/webhooks/clickup/{self.connected.id}"

    async def genuine(self, number: int = 0) -> httpx.Response:
        """A genuine delivery, over a connection of its own; its answer comes in time and is not one that suspends."""
        body = TASK.replace(b"868cq4m2x", f"task{number}".encode())
        started = time.monotonic()
        async with httpx.AsyncClient(timeout=7) as http:
            answer = await http.post(
                self.stack.url + self.path, content=body, headers={"x-signature": sign(SECRET, body)}
            )
        assert time.monotonic() - started < 5
        assert answer.status_code not in (401, 410)
        return answer

    def memory(self) -> int:
        """Octets that the process has in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    async def count(self, name: str) -> float:
        """A number of its /metrics."""
        async with httpx.AsyncClient(timeout=7) as http:
            lines = (await http.get(f"{self.stack.url}/metrics")).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


@pytest.fixture
async def attacked(
    tmp_path: Path, amqp_url: str, database_url: str, connected: Connected, request: pytest.FixtureRequest
) -> AsyncIterator[Attacked]:
    broker, store = await Proxy(amqp_url).mend(), await Proxy(database_url).mend()
    stack = Stack(tmp_path, amqp_url=broker.url, database_url=store.url, clickup_url="http://127.0.0.1:1/api")
    options = dict(getattr(request, "param", {}))
    open_files = options.pop("open files", None)
    stack.environment |= options
    process = stack.start("ingest")
    if open_files is not None:  # it looks at its limit with its first connection, long after this
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_files, open_files))
    await stack.ready()
    yield Attacked(stack=stack, process=process, connected=connected, store=store, broker=broker)
    await stack.end()
    assert stack.logs("Exception in ASGI application") == []
    for proxy in (broker, store):
        await proxy.cut()


class Client:
    """A raw connection; the end of it is seen, and when it came."""

    def __init__(self, port: int, sent: bytes, dripped: bytes = b"", *, pause: float = 0.3) -> None:
        self._port, self._sent, self._dripped, self._pause = port, sent, dripped, pause
        self.answer = b""
        self.lasted = 0.0

    async def run(self) -> None:
        """Send, and drip until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        started = time.monotonic()
        writer.write(self._sent)
        dripping = asyncio.create_task(self._drip(writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.answer += data
        self.lasted = time.monotonic() - started
        dripping.cancel()
        writer.transport.abort()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while self._dripped:
                writer.write(self._dripped)
                await writer.drain()
                await asyncio.sleep(self._pause)


async def test_who_drips_is_cut_off(attacked: Attacked) -> None:
    """Heads and bodies that never end, at any speed: each ends within 20 s, and genuine deliveries are accepted."""
    head = f"POST {attacked.path} HTTP/1.1\r\nHost: x\r\n".encode()
    unknown = head.replace(str(attacked.connected.id).encode(), str(uuid4()).encode())
    chunked, port = b"Transfer-Encoding: chunked\r\n\r\n", attacked.stack.port
    fast = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    clients = {
        "silent": Client(port, b""),
        "blank lines": Client(port, b"", b"\r\n"),
        "a head": Client(port, head, b"X: y\r\n"),
        "a value": Client(port, head + b"X: ", b"y"),
        "a counted body": Client(port, head + b"Content-Length: 1000\r\n\r\n", b"x"),
        "chunks": Client(port, head + chunked, b"1\r\nx\r\n"),
        "trailers": Client(port, head + chunked + b"0\r\n", b"X: y\r\n"),
        "chunks for nobody": Client(port, unknown + chunked, b"1\r\nx\r\n"),
        "chunks for no page": Client(port, b"POST /nowhere HTTP/1.1\r\nHost: x\r\n" + chunked, b"1\r\nx\r\n"),
        "an endless body": Client(port, head + chunked, fast, pause=0),
        "an endless body for nobody": Client(port, unknown + chunked, fast, pause=0),
        "an endless body for no page": Client(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + chunked, fast, pause=0),
        "an endless head": Client(port, head, b"X: y\r\n" * 1000, pause=0),
        "an endless value": Client(port, head + b"X: ", b"y" * 10_000, pause=0),
        "an endless address": Client(port, b"GET /", b"y" * 10_000, pause=0),
        "a huge value": Client(port, head + b"X: " + b"y" * 200_000 + b"\r\n\r\n"),
        "very many fields": Client(port, head + b"X: y\r\n" * 5000 + b"\r\n"),
    }
    running = [asyncio.create_task(client.run()) for client in clients.values()]
    number = 0
    while not all(one.done() for one in running):
        number += 1
        assert (await attacked.genuine(number)).status_code == 200
        await asyncio.sleep(0.2)
    await asyncio.gather(*running)
    assert {name: client.lasted for name, client in clients.items() if client.lasted > 20} == {}
    said = {name: client.answer[9:12] for name, client in clients.items()}
    assert {
        name for name, status in said.items() if status not in (b"", b"200", b"404", b"405", b"408", b"413", b"431")
    } == set()
    assert said["a counted body"] == said["chunks"] == said["trailers"] == b"408"
    assert said["a head"] == said["a value"] == b"408"
    assert said["a huge value"] in (b"431", b"")
    assert number > 10
    assert await attacked.count("kb_http_refused_total") >= 8


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as the system allows us, for this test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 500:
        pytest.skip(f"the system allows {hard} open files, {IDLE} connections need more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_idle_connections_keep_nobody_out(attacked: Attacked) -> None:
    """10,000 of them, more than there may be: the longest idle make room, and each genuine delivery is accepted."""
    before, held = attacked.memory(), list[socket.socket]()
    try:
        for number in range(IDLE):
            one = socket.create_connection(("127.0.0.1", attacked.stack.port), timeout=5)
            held.append(one)
            if number % 3 == 0:
                one.send(b"POST / HTTP/1.1\r\nX: ")
            if number % 500 == 499:
                assert (await attacked.genuine(number)).status_code == 200
        assert (await attacked.genuine()).status_code == 200
        assert attacked.open_files() < 4096 + 128
        assert await attacked.count('kb_http_refused_total{reason="displaced"}') > IDLE - 4096 - 100
        assert attacked.memory() - before < 150_000_000
    finally:
        for one in held:
            one.close()
    assert (await attacked.genuine()).status_code == 200


@pytest.mark.parametrize("attacked", [{"open files": 256}], indirect=True, ids=["256"])
async def test_few_open_files_are_enough(attacked: Attacked) -> None:
    """Where the system allows the process no more, as many connections and more keep nobody out either."""
    held = [socket.create_connection(("127.0.0.1", attacked.stack.port), timeout=5) for _ in range(600)]
    assert (await attacked.genuine()).status_code == 200
    for one in held:
        one.close()


async def test_large_bodies_hold_a_bounded_amount_together(attacked: Attacked) -> None:
    """300 bodies of almost 1 MiB that never end: those on their way longest make room; genuine ones are accepted."""
    before, most = attacked.memory(), 0
    head = f"POST {attacked.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n".encode()
    clients = [Client(attacked.stack.port, head + b"x" * 1_000_000, b"x") for _ in range(300)]
    running = [asyncio.create_task(client.run()) for client in clients]
    while not all(one.done() for one in running):
        assert (await attacked.genuine()).status_code == 200
        most = max(most, attacked.memory() - before)
    await asyncio.gather(*running)
    assert most < 260_000_000
    assert {client.answer[9:12] for client in clients} <= {b"408", b"503", b""}
    assert any(client.answer.startswith(b"HTTP/1.1 503 ") for client in clients)


async def test_a_flood_of_refusals_asks_no_database(attacked: Attacked) -> None:
    """Bad signatures and unknown ids cost neither a query nor a log line each nor memory; all are counted."""
    assert (await attacked.genuine()).status_code == 200
    unknown = TASK.replace(b"5d0c3c5e", b"00000000")
    floods = {
        attacked.path: (TASK, 403),
        f"/webhooks/clickup/{uuid4()}": (TASK, 404),
        "/webhooks/clickup": (unknown, 404),
        "/webhooks/jira": (TASK, 404),
    }
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(timeout=20, limits=limits, base_url=attacked.stack.url) as http:

        async def one(number: int) -> None:
            path, (body, status) = list(floods.items())[number % len(floods)]
            answer = await http.post(path, content=body, headers={"x-signature": f"{number:064x}"})
            assert answer.status_code == status

        async def round_() -> None:
            for start in range(0, FLOOD, 100):
                await asyncio.gather(*(one(number) for number in range(start, start + 100)))

        await round_()  # the first one warms up
        memory, log, carried = attacked.memory(), size(attacked.stack.folder), attacked.store.carried
        before = await attacked.count("kb_ingest_requests_total")
        looks = attacked.store.carried - carried
        await round_()
        assert attacked.store.carried - carried - looks < 10 * FLOOD  # not even ten octets a request
        assert size(attacked.stack.folder) - log < 60 * 3 * 300
        assert attacked.memory() - memory < 30_000_000
        assert await attacked.count("kb_ingest_requests_total") - before == FLOOD
    for line in attacked.stack.logs("event.received"):
        assert line["outcome"] in ("accepted", "bad_signature", "unknown_integration", "unknown_provider")
    assert (await attacked.genuine(1)).status_code == 200


def size(folder: Path) -> int:
    """Octets of all logs."""
    return sum(path.stat().st_size for path in folder.glob("*.log"))


@pytest.mark.parametrize("attacked", [{"SPOOL_MAX": "3"}], indirect=True, ids=["three"])
async def test_a_full_spool_is_503(attacked: Attacked, sql: Any) -> None:
    """Named in the log and told when to come again; not ready; accepted as soon as the broker is back."""
    await attacked.broker.cut()
    for number in range(3):
        assert (await attacked.genuine(number)).status_code == 200
    answer = await attacked.genuine(3)
    assert (answer.status_code, answer.json()) == (503, {"error": "spool_full"})
    assert int(answer.headers["retry-after"]) > 0
    assert attacked.stack.logs("event.received")[-1]["outcome"] == "spool_full"
    async with httpx.AsyncClient(timeout=7) as http:

        async def unready() -> bool:
            return (await http.get(f"{attacked.stack.url}/readyz")).status_code == 503

        await until(unready)
    assert await sql.fetchval("SELECT count(*) FROM kb.queue_messages WHERE queue = 'kb.spool'") == 3
    await attacked.broker.mend()

    async def accepted() -> bool:
        return (await attacked.genuine(3)).status_code == 200

    await until(accepted, within=30)
