"""What a client may do with a connection, at a small application over a real socket; the times are shortened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import pytest
import uvloop
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cli import connections
from cli.connections import Bounded
from cli.corking import Corked
from cli.serving import InProcessServer, http_server
from tests.conftest import until

GET = b"GET /now HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /now HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
READ = CHUNKED.replace(b"/now", b"/read")
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Served:
    """Where it is served; `gate` lets those go on who wait for it."""

    port: int
    gate: asyncio.Event

    async def connect(self, sent: bytes = b"") -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(connections, "MESSAGE_SECONDS", 0.8)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.4)
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.4)
    gate = asyncio.Event()

    async def now(_request: Request) -> Response:
        return PlainTextResponse("now")

    async def read(request: Request) -> Response:
        with suppress(ClientDisconnect):
            return PlainTextResponse(str(len(await request.body())))
        return Response()

    async def later(_request: Request) -> Response:
        await gate.wait()
        return PlainTextResponse("later")

    async def much(_request: Request) -> Response:
        return PlainTextResponse("x" * 30_000_000)

    async def last(_request: Request) -> Response:
        return PlainTextResponse("last", headers={"connection": "close"})

    endpoints = {"/now": now, "/last": last, "/read": read, "/later": later, "/much": much}
    app = Starlette(routes=[Route(path, endpoint, methods=["GET", "POST"]) for path, endpoint in endpoints.items()])
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = InProcessServer(http_server(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    yield Served(listener.getsockname()[1], gate)
    gate.set()
    server.should_exit = True
    await task
    listener.close()
    assert not Bounded.connections_open
    assert not Bounded.owing


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("kb_http_refused_total", {"reason": reason}) or 0


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is closed. A reset is a close, too."""
    got = b""
    async with asyncio.timeout(10):
        try:
            while data := await reader.read(65536):
                got += data
        except ConnectionError:
            pass
    return got


async def answered(served: Served, sent: bytes = GET) -> bytes:
    """A decent request's answer."""
    reader, writer = await served.connect(sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    got = await rest(reader)
    writer.close()
    return got


def drip(writer: asyncio.StreamWriter, octets: bytes) -> asyncio.Task[None]:
    """Send the same few octets again and again, until the connection is closed."""

    async def go() -> None:
        while not writer.is_closing():
            writer.write(octets)
            await asyncio.sleep(0.05)

    return asyncio.create_task(go())


async def closed(client: Client, dripped: bytes = b"") -> bytes:
    """What it says, dripping all the time, until it is closed."""
    reader, writer = client
    dripping = drip(writer, dripped) if dripped else None
    got = await rest(reader)
    writer.close()
    if dripping is not None:
        dripping.cancel()
    return got


@pytest.mark.parametrize(
    ("sent", "dripped", "answer", "reason"),
    [
        (b"", b"", b"", "silent"),
        (b"GET /now HT", b"", b"HTTP/1.1 408", "slow_head"),
        (b"GET /now HTTP/1.1\r\nX: ", b"y", b"HTTP/1.1 408", "slow_head"),
        (b"GET /now HTTP/1.1\r\n", b"X: y\r\n", b"HTTP/1.1 408", "slow_head"),
        (b"", b"\r\n", b"HTTP/1.1 408", "slow_head"),
        (GET, b"\r\n", b"HTTP/1.1 200", "slow_head"),
        (GET + GET[:-4], b"y", b"HTTP/1.1 200", "slow_head"),
        (CHUNKED, b"1\r\nx\r\n", b"HTTP/1.1 200", "slow_body"),
        (READ, b"1\r\nx\r\n", b"", "slow_body"),
        (READ, b"1", b"", "slow_body"),
        (READ + b"1;", b"y", b"", "slow_body"),
        (READ + b"1\r\nx\r\n0\r\n", b"X: y\r\n", b"", "slow_body"),
        (CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 999"), b"x", b"HTTP/1.1 200", "slow_body"),
    ],
    ids=["silent", "half a line", "a value", "fields", "blank lines", "blank lines after an answer", "a second head",
         "a body answered already", "chunks", "a chunk's size", "a chunk's extension", "trailers", "a counted body"],
)  # fmt: skip
async def test_dripping_buys_no_time(served: Served, sent: bytes, dripped: bytes, answer: bytes, reason: str) -> None:
    """Whatever is dripped, and wherever in a message: the connection is closed in time, and counted."""
    before = refused(reason)
    got = await closed(await served.connect(sent), dripped)
    assert got.startswith(answer)
    assert bool(got) is bool(answer)
    assert refused(reason) == before + 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /now HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /now HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /now HTTP/1.1\r\n" + b"y" * 40_000 + b": x\r\n\r\n",
    ],
    ids=["a value", "fields", "an address", "a name"],
)
async def test_a_large_head_is_431(served: Served, head: bytes) -> None:
    """By octets and by fields; the connection ends with it."""
    before = refused("large_head")
    assert (await closed(await served.connect(head))).startswith(b"HTTP/1.1 431 ")
    assert refused("large_head") == before + 1


@pytest.mark.parametrize(
    ("sent", "again"),
    [
        (b"GET /now HTTP/1.1\r\nX: ", b"y" * 50_000),
        (b"GET /", b"y" * 50_000),
        (b"GET /now HTTP/1.1\r\n", b"X: y\r\n" * 5000),
        (READ + b"1\r\nx\r\n0\r\nX: ", b"y" * 50_000),
        (READ + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 5000),
        (READ + b"1;", b"y" * 50_000),
        (CHUNKED, (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 8),
    ],
    ids=["a value", "an address", "fields", "a trailer", "trailers", "an extension", "a body answered already"],
)
async def test_nothing_is_endless(served: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes, again: bytes) -> None:
    """What does not end is cut off at a size, long before its time is over."""
    monkeypatch.setattr(connections, "WASTE_OCTETS", 1024 * 1024)
    before = refused("large_head") + refused("unread")
    await closed(await served.connect(sent), again * 4)
    assert refused("large_head") + refused("unread") == before + 1


async def test_a_head_within_bounds_is_answered(served: Served) -> None:
    """However it is cut into pieces; and so is the next one on the same connection, and one sent ahead of its turn."""
    reader, writer = await served.connect()
    head = b"GET /now HTTP/1.1\r\n" + b"X: " + b"y" * 20_000 + b"\r\n" + b"Z: y\r\n" * 90 + b"\r\n"
    for _ in range(3):
        for piece in (head[:7], head[7:15_000], head[15_000:]):
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert (await reader.readuntil(b"now")).startswith(b"HTTP/1.1 200")
    writer.write(GET * 5)
    for _ in range(5):
        assert (await reader.readuntil(b"now")).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.9)  # idle is not slow: that is the keep-alive's business
    writer.write(GET)
    assert (await reader.readuntil(b"now")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_larger_than_any_bound_of_the_head_is_read(served: Served) -> None:
    """The bounds here are not the body's, which is the application's business."""
    pieces = [b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 64 + [b"1\r\nx\r\n"] * 1000
    got = await answered(served, READ + b"".join(pieces) + b"0\r\nX: y\r\n\r\n")
    assert got.endswith(str(64 * 0x4000 + 1000).encode())


@pytest.mark.parametrize("path", [b"/now", b"/last"], ids=["kept open", "closed"])
async def test_who_reads_only_after_sending_everything_is_answered(served: Served, path: bytes) -> None:
    """As asynchronous clients do; a reset for what nobody reads would take the answer away from them."""
    octets = 20 * 1024 * 1024
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, octets)
    reader, writer = await served.connect(head)
    for _ in range(20):
        writer.write(b"x" * (octets // 20))
        await writer.drain()
    assert (await reader.readuntil(path[1:])).startswith(b"HTTP/1.1 200")
    writer.close()
    await until(lambda: not Bounded.connections_open)


async def test_a_last_answer_ends_our_side_at_once_and_the_clients_soon(served: Served) -> None:
    """However much it still has to say."""
    before = refused("unread")
    reader, writer = await served.connect(CHUNKED.replace(b"/now", b"/last"))
    dripping = drip(writer, b"1\r\nx\r\n")
    async with asyncio.timeout(0.3):
        assert (await reader.read()).endswith(b"last")
    assert refused("unread") == before
    await until(lambda: refused("unread") == before + 1)
    await until(lambda: not Bounded.connections_open)
    dripping.cancel()
    writer.close()


async def test_a_client_that_does_not_read_is_cut_off(served: Served) -> None:
    """Its answer is kept for it no longer than told."""
    before = refused("slow_reader")
    _, writer = await served.connect(GET.replace(b"/now", b"/much"))
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket reads, too
    await until(lambda: refused("slow_reader") == before + 1)
    await until(lambda: not Bounded.connections_open)
    writer.transport.abort()


@pytest.fixture
def at_most(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Sets how many connections there may be."""
    return lambda count: monkeypatch.setattr(connections, "most", lambda: count)


async def test_the_longest_idle_makes_room(served: Served, at_most: Callable[[int], Any]) -> None:
    """A new connection is taken however many idle ones there are; those that are being answered stay."""
    at_most(4)
    busy = [await served.connect(GET.replace(b"/now", b"/later")) for _ in range(2)]
    await until(lambda: len(Bounded.connections_open) == 2 and not Bounded.owing)
    before = refused("displaced")
    idle = [await served.connect() for _ in range(3)]
    assert await rest(idle[0][0]) == b""
    assert (await answered(served)).startswith(b"HTTP/1.1 200")
    assert await rest(idle[1][0]) == b""
    assert refused("displaced") == before + 2
    served.gate.set()
    for reader, writer in busy:
        assert (await reader.readuntil(b"later")).startswith(b"HTTP/1.1 200")
        writer.close()
    for _, writer in idle:
        writer.close()


async def test_where_all_are_being_answered_a_new_one_is_503(served: Served, at_most: Callable[[int], Any]) -> None:
    """Told when to come again, at once; as soon as one is done there is room."""
    at_most(2)
    busy = [await served.connect(GET.replace(b"/now", b"/later")) for _ in range(2)]
    await until(lambda: len(Bounded.connections_open) == 2 and not Bounded.owing)
    got = await closed(await served.connect())
    assert got.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5\r\n" in got
    served.gate.set()
    for reader, _ in busy:
        await reader.readuntil(b"later")
    assert (await answered(served)).startswith(b"HTTP/1.1 200")
    for _, writer in busy:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n",
     b"GET http://[ HTTP/1.1\r\n\r\n", b"POST /now HTTP/1.1\r\nContent-Length: x\r\n\r\n",
     READ + b"fffffffffffffffffffff\r\n", b"GET /now HTTP/9.9\r\n\r\n"],
    ids=["TLS", "nonsense", "no ascii", "no address", "no length", "endless size", "no version"],
)  # fmt: skip
async def test_what_is_no_http_is_400(served: Served, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Counted, not logged: a line each would be a stranger's way to fill a disk."""
    before = refused("malformed")
    got = await closed(await served.connect(sent))
    assert got == b"" or got.startswith(b"HTTP/1.1 400")
    assert refused("malformed") == before + 1
    assert caplog.messages == []


def test_writes_of_one_turn_are_one_and_none_follows_the_end() -> None:
    """A head and a body arrive in one piece; what is written when the client is gone is no error in the loop's log."""
    complaints: list[object] = []

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        pieces: list[bytes] = []

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            corked = Corked(cast("asyncio.Transport", writer.transport), loop, lingers=lambda: False)
            corked.write(b"head")
            corked.write(b"body")
            await asyncio.sleep(0.1)
            writer.transport.abort()
            await asyncio.sleep(0.1)
            corked.write(b"last")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with suppress(ConnectionError):
            while piece := await reader.read(1024):
                pieces.append(piece)
        await asyncio.sleep(0.2)
        writer.close()
        server.close()
        return pieces

    assert uvloop.run(main()) == [b"headbody"]
    assert complaints == []
