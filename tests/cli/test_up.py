"""What runs until it is told to stop, and what talks to others: `up`, `simulate`, `events tail`, `send`.

All are processes, as an operator starts them, and none may be left behind.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import orjson
import pytest

from cli import demo
from events.bus import Bus
from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import Unroutable
from events.rabbitmq import RabbitMQ
from events.topology import KNOWLEDGE, SPOOL
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.webhook import genuine
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import Connected, sample, until
from tests.services.rabbitmq import RabbitMQServer, find_rabbitmq
from tests.services.server import free_port, process_table, process_tree
from tests.stack import Stack

PROGRAM, NOWHERE, STOP_SECONDS = str(Path(sys.executable).with_name("kb-ingest")), "http://127.0.0.1:1/api", 10.0
START_SECONDS = 60.0
"""For what makes a database first, which takes as long as the machine needs and cannot be broken off."""


class Up:
    """`kb-ingest up` on a machine with nothing: no home, no configuration, no input."""

    started: ClassVar[list[asyncio.subprocess.Process]] = []

    def __init__(self, folder: Path, **variables: str) -> None:
        self.data, self.home, self.temporary = folder / "data", folder / "home", folder / "tmp"
        for made in (self.home, self.temporary):
            made.mkdir(exist_ok=True)
        self.port = free_port()
        places = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "INGEST_PORT": str(self.port)}
        places["GALLERY_PORT"] = str(free_port())
        self.environment = {"PATH": os.environ["PATH"], **places, **variables}
        self.lines: list[str] = []
        self.family: set[int] = set()

    async def start(self, *words: str, stdin: str = "</dev/null") -> None:
        """Start it without input."""
        command = ["sh", "-c", f'exec "$@" {stdin}', "sh", PROGRAM, "up", "--data-dir", str(self.data), *words]
        self.process = await asyncio.create_subprocess_exec(
            *command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.started.append(self.process)
        self.lines.clear()

    async def figures(self, **least: int) -> dict[str, str]:
        """Read on until a line has at least these figures; all its figures."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            async for line in self.process.stdout:
                self.lines.append(line.decode().rstrip())
                found = dict(re.findall(r"(\w+)=(\S+)", self.lines[-1]))
                if all(int(found.get(name, -1)) >= number for name, number in least.items()):
                    return found
        raise AssertionError((self.lines, await self.ended()))

    def remember(self) -> None:
        """Learn which processes there are: its own and, apart from it, the database server's."""
        self.family = {*process_tree(self.process.pid)}
        if (pid := self.data / "postgres" / "postmaster.pid").exists():
            self.family |= {*process_tree(int(pid.read_text().split()[0]))}

    async def stop(self, number: signal.Signals) -> int:
        """Signal it; its exit code. Raises `TimeoutError`, `AssertionError` when a process of its own is left."""
        self.remember()
        self.process.send_signal(number)
        code, printed, complaints = await self.ended()
        assert (complaints, printed.splitlines()[-1]) == ("", "stopped")
        return code

    async def ended(self, *, within: float = STOP_SECONDS) -> tuple[int, str, str]:
        """Wait for its end; exit code, what it printed, what it complained about."""
        try:
            async with asyncio.timeout(within):
                printed, complaints = await self.process.communicate()
        except TimeoutError:
            self.process.kill()
            raise
        assert self.family & process_table().keys() == set()
        assert not (self.data / "postgres" / "postmaster.pid").exists()
        return self.process.returncode or 0, printed.decode(), complaints.decode()


@pytest.fixture(autouse=True)
async def _nothing_goes_on() -> AsyncIterator[None]:
    """A test that failed leaves no `up` running beside those that follow."""
    yield
    while Up.started:
        process = Up.started.pop()
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.communicate(), START_SECONDS)


async def test_up_on_an_empty_machine(tmp_path: Path) -> None:
    """The knowledge base fills before one's eyes within a minute; either signal ends all of it in ten seconds.

    The second start goes on with the same data. Nothing is left outside the data folder.
    """
    up = Up(tmp_path)
    for number in (signal.SIGINT, signal.SIGTERM):
        await up.start("--demo", "--rate", "20")
        first = await up.figures(accepted=1, applied=1, task=1)
        more = {name: int(first[name]) + 1 for name in ("accepted", "applied", "task")}
        await up.figures(**more)
        assert f"http://127.0.0.1:{up.port}/webhooks/clickup" in "\n".join(up.lines)
        assert await up.stop(number) == 0
    assert {path.name for path in up.data.iterdir()} == {"postgres", "kb-ingest.log", "encryption.key", "api.token"}
    for secret in ("encryption.key", "api.token"):
        assert (up.data / secret).stat().st_mode & 0o777 == 0o600
    assert [*up.home.iterdir(), *up.temporary.iterdir()] == []


async def test_up_stops_a_server_that_a_killed_one_left(tmp_path: Path) -> None:
    """The next start takes over the database server of a killed one, and its end is that server's, too."""
    up = Up(tmp_path)
    await up.start()
    await up.figures(accepted=0)
    up.remember()
    up.process.kill()
    await up.process.communicate()
    server = up.family & process_table().keys()
    assert server
    await up.start()
    await up.figures(accepted=0)
    assert await up.stop(signal.SIGINT) == 0
    assert server & process_table().keys() == set()


async def test_a_former_demo_leaves_nothing_waiting(database: Database, keyring: Keyring, sql: Any) -> None:
    """What was on its way to a demo goes with it, dead letters, too, and nothing of anybody else's."""
    simulator = Simulator(seed=1, token=demo.TOKEN)
    gone, stays = await demo.connect(database, keyring, simulator, ingest_url=NOWHERE), uuid4()
    bus = Embedded(database, queues=[KNOWLEDGE])
    await bus.start(within=10)
    for integration_id in (gone, gone, stays):
        event = Envelope(
            id=uuid4(),
            source="/test",
            type="clickup.task.updated",
            integration_id=integration_id,
            time=datetime.now(UTC),
            data=b"{}",
            subject="task/1",
        )
        await bus.publish([event], within=10)
    subscription = await bus.subscribe(KNOWLEDGE, prefetch=1)
    (first,) = await subscription.receive(limit=1, within=10)
    await subscription.dead_letter(first, reason="too odd")
    await bus.close()
    await demo.forget(database)
    rows = await sql.fetch("SELECT headers ->> 'cloudEvents_integrationid' AS whose FROM kb.queue_messages")
    assert [row["whose"] for row in rows] == [str(stays)]


@pytest.fixture
async def broker() -> AsyncIterator[RabbitMQServer]:
    """A broker without the queues of other tests."""
    server = await asyncio.to_thread(find_rabbitmq)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.close)


async def test_up_uses_the_servers_it_is_given(
    tmp_path: Path, broker: RabbitMQServer, database_url: str, sql: Any
) -> None:
    """With DATABASE_URL and AMQP_URL the rows and the queues are there, whatever an earlier run left in the folder."""
    up = Up(tmp_path, DATABASE_URL=database_url, AMQP_URL=broker.url)
    (up.data / "postgres").mkdir(parents=True)
    await up.start("--demo", "--rate", "20")
    await up.figures(accepted=20, applied=20, task=5)
    assert await sql.fetchval("SELECT count(*) FROM kb.objects WHERE external_type = 'task'") >= 5
    # the spool is here in either case, with both its queues once a slow machine has had to use it
    assert {row["name"] for row in await sql.fetch("SELECT name FROM kb.queues")} <= {SPOOL.name, SPOOL.dead}
    assert {"kb.knowledge", "kb.journal", "kb.sync-state"} <= (await asyncio.to_thread(broker.queue_lengths)).keys()
    assert await up.stop(signal.SIGINT) == 0
    assert [*(up.data / "postgres").iterdir()] == []
    header = "\n".join(up.lines[:6])
    assert "DATABASE_URL" in header
    assert "RabbitMQ" in header
    assert database_url not in header


async def test_up_shows_a_live_view_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal it draws the knowledge base and its freshness, and Ctrl-C ends it."""
    up = Up(tmp_path, TERM="xterm-256color")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    terminal = os.ttyname(theirs)
    # a new session's first terminal is its controlling one, which turns Ctrl-C into a signal
    command = ["sh", "-c", f'exec "$@" <{terminal} >{terminal} 2>&1', "sh", PROGRAM, "up", "--demo"]
    command += ["--data-dir", str(up.data)]
    process = await asyncio.create_subprocess_exec(*command, env=up.environment, start_new_session=True)
    shown = bytearray()

    def read() -> None:
        while chunk := os.read(ours, 65536):
            shown.extend(chunk)

    reader = asyncio.create_task(asyncio.to_thread(read))
    try:
        await until(lambda: b"knowledge base" in shown and b"task" in shown, within=60)
        await until(lambda: re.search(rb"\d+ms", shown) is not None)
        os.write(ours, b"\x03")
        assert await asyncio.wait_for(process.wait(), STOP_SECONDS) == 0
    finally:
        if process.returncode is None:
            process.kill()
        os.close(theirs)
        await asyncio.gather(reader, return_exceptions=True)  # it ends with the terminal
        os.close(ours)
    for word in (b"freshness p99", b"accepted", b"just now", b"stopped"):
        assert word in shown
    assert b"Traceback" not in shown
    assert b"error" not in shown
    assert not (up.data / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-"], ids=["empty", "closed"])
async def test_up_stops_while_it_starts(stdin: str, tmp_path: Path) -> None:
    """Whoever changes their mind while the database is being made need not wait, and nothing goes on.

    So it is too where it is given no standard input at all.
    """
    up = Up(tmp_path)
    await up.start("--demo", stdin=stdin)
    await until((up.data / "postgres").exists)
    up.remember()
    up.process.send_signal(signal.SIGINT)
    code, _, complaints = await up.ended(within=START_SECONDS)
    assert (code, complaints) == (0, "")


async def test_up_says_that_its_folder_cannot_be_made(tmp_path: Path) -> None:
    """A data folder whose place is taken by a file is one line that names it."""
    up = Up(tmp_path)
    await asyncio.to_thread(up.data.touch)
    await up.start()
    code, _, complaints = await up.ended()
    assert re.fullmatch(rf"error: [^\n]*{up.data}[^\n]*\n", complaints), complaints
    assert code == 1


@pytest.mark.parametrize("words", ["up", "ingest", "ingest --workers 2", "simulate --port PORT"])
async def test_a_port_in_use_is_one_line(words: str, tmp_path: Path, amqp_url: str, database_url: str) -> None:
    """What cannot listen says so in one line that names the port, with exit code 1, and leaves no process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        if words == "up":
            up = Up(tmp_path, INGEST_PORT=port)
            await up.start("--demo")
            code, _, complaints = await up.ended(within=START_SECONDS)
            assert code == 1
        else:
            stack = Stack(tmp_path, amqp_url=amqp_url, database_url=database_url, clickup_url=NOWHERE)
            stack.environment["INGEST_PORT"] = port
            complaints = await stack.run(*words.replace("PORT", port).split(), code=1)
    assert re.fullmatch(rf"error: [^\n]*\b{port}\b[^\n]*\n", complaints), complaints


class Sink(ThreadingHTTPServer):
    """An endpoint that takes whatever is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.url, self.status, self.taken = f"http://127.0.0.1:{self.server_port}/hook", 200, list[tuple[bytes, str]]()


class Taker(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((body, self.headers["x-signature"]))
        self.send_response_only(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


async def test_send_delivers_as_clickup_does(
    tmp_path: Path, amqp_url: str, database_url: str, connected: Connected, sink: Sink
) -> None:
    """Samples by name with the integration's secret and hook, as often as asked; a file's bytes as they are."""
    stack = Stack(tmp_path, amqp_url=amqp_url, database_url=database_url, clickup_url=NOWHERE)
    (tmp_path / "secret").write_text(f"{connected.secret}\n")
    (tmp_path / "body").write_bytes(odd := b'\xff{ "webhook_id" :\n "x" }\x00')
    to = ("--endpoint", sink.url)
    signed = (*to, "--secret-file", str(tmp_path / "secret"))
    for words, bodies in (
        ((*to, "--integration", str(connected.id)), [orjson.loads(sample("task-created"))]),
        (
            ("list-created", "--times", "2", "--file", str(tmp_path / "body"), *signed),
            [sample("list-created"), sample("list-created"), odd, odd],
        ),
    ):
        sink.taken.clear()
        answers = await stack.json("send", *words)
        assert [answer["status"] for answer in answers] == [200] * len(bodies)
        assert all(genuine(body, signature.encode(), [connected.secret]) for body, signature in sink.taken)
        for (body, _), expected in zip(sink.taken, bodies, strict=True):
            assert expected == (body if isinstance(expected, bytes) else orjson.loads(body))
    sink.status = 503
    assert "200" in await stack.run("send", "--webhook-id", "other", *signed, code=1)
    assert orjson.loads(sink.taken[-1][0]) == orjson.loads(sample("task-created")) | {"webhook_id": "other"}


async def test_simulate_is_a_clickup_of_its_own(tmp_path: Path, sink: Sink) -> None:
    """It prints where its API is and how its webhook signs, delivers changes signed so, and ends when told."""
    stack = Stack(tmp_path, amqp_url="", database_url="", clickup_url="")
    process = stack.start("simulate", "--endpoint", sink.url, "--port", "0", "--rate", "50", "--json")
    try:
        await until(lambda: len(sink.taken) >= 20)
        facts = orjson.loads(await asyncio.to_thread((tmp_path / "simulate---endpoint-0.log").read_bytes))
        async with httpx.AsyncClient(headers={"Authorization": facts["token"]}) as http:
            (team,) = (await http.get(f"{facts['api']}/v2/team")).json()["teams"]
        assert team["id"] == facts["workspace"]
        assert all(genuine(body, signature.encode(), [facts["webhook_secret"]]) for body, signature in sink.taken)
        assert {orjson.loads(body)["webhook_id"] for body, _ in sink.taken} == {facts["webhook_id"]}
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, STOP_SECONDS) == 0
    finally:
        await stack.end()


async def test_simulated_people_rest(tmp_path: Path, sink: Sink) -> None:
    """After so many changes it says how many deliveries were taken, all of them being, and goes on serving."""
    stack = Stack(tmp_path, amqp_url="", database_url="", clickup_url="")
    words = ("simulate", "--endpoint", sink.url, "--port", "0", "--rate", "200", "--changes", "3")
    process = stack.start(*words)
    log = tmp_path / "simulate---endpoint-0.log"
    try:
        await until(lambda: "delivered" in log.read_text())
        said = dict(line.split()[:2] for line in log.read_text().splitlines() if len(line.split()) > 1)
        assert (said["changes"], said["delivered"], said["lost"]) == ("3", str(len(sink.taken)), "0")
        assert process.poll() is None
    finally:
        await stack.end()


@pytest.mark.parametrize("kind", ["rabbitmq", "embedded"])
async def test_tail_shows_what_is_published_meanwhile(
    kind: str, tmp_path: Path, amqp_url: str, database_url: str, database: Database
) -> None:
    """An event published after it began is printed as one line of JSON and nothing else is, on both buses."""
    here = amqp_url if kind == "rabbitmq" else ""
    stack = Stack(tmp_path, amqp_url=here, database_url=database_url, clickup_url=NOWHERE)
    id_, now = uuid4(), datetime.now(UTC)
    event = Envelope(
        id=id_,
        source="/test",
        type="probe.thing.done",
        integration_id=id_,
        time=now,
        data=b'{"a": 1}',
        subject="thing/1",
    )
    bus: Bus = RabbitMQ(amqp_url, queues=()) if kind == "rabbitmq" else Embedded(database, queues=())
    await bus.start(within=10)
    tail = asyncio.create_task(stack.json("events", "tail", f"probe.thing.*.{id_}", "--count", "1"))
    try:
        while not tail.done():  # nobody else hears it, so it cannot be published before the tail listens
            try:
                await bus.publish([event], within=5)
                break
            except Unroutable:
                await asyncio.sleep(0.1)
        printed = await tail
        assert printed.items() >= {"id": str(id_), "type": event.type, "subject": "thing/1", "data": '{"a": 1}'}.items()
    finally:
        tail.cancel()
        await bus.close()


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_an_import_says_why_it_waits_and_what_an_interruption_means(
    form: tuple[str, ...], tmp_path: Path, database_url: str, connected: Connected
) -> None:
    """Where ClickUp is away it says so at once, to scripts, too; Ctrl-C ends with 130 and says that nothing is lost."""
    stack = Stack(tmp_path, amqp_url="", database_url=database_url, clickup_url=NOWHERE)
    process = stack.start("import", str(connected.id), *form)
    log = tmp_path / f"import-{connected.id}-0.log"
    try:
        await until(lambda: bool(re.search(r"^waiting: .*tried again in \d+ s$", log.read_text(), re.MULTILINE)))
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, STOP_SECONDS) == 130
        assert f"`kb-ingest import {connected.id}`, goes on where" in (await asyncio.to_thread(log.read_text))
    finally:
        await stack.end()


async def test_tail_says_that_the_broker_is_away(tmp_path: Path, database_url: str) -> None:
    """Without a broker it does not wait for ever in silence: one line, exit code 1."""
    stack = Stack(
        tmp_path, amqp_url="amqp://user:hushhush@127.0.0.1:1/", database_url=database_url, clickup_url=NOWHERE
    )
    process = stack.start("events", "tail")
    try:
        assert await asyncio.to_thread(process.wait, 30) == 1
    finally:
        await stack.end()
    complaints = await asyncio.to_thread((tmp_path / "events-tail-0.log").read_text)
    assert re.fullmatch(r"error: [^\n]*AMQP_URL[^\n]*\n", complaints), complaints
    assert "hushhush" not in complaints
