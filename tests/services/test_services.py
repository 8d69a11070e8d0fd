"""The suite's own servers keep what they promise: data survive a kill, and nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from tests.services import node, provide, trixie
from tests.services.packages import install
from tests.services.postgres import PostgresServer, find_postgres
from tests.services.rabbitmq import RabbitMQServer, find_rabbitmq
from tests.services.server import LocalHost, Server, ServiceError, free_port, process_table, process_tree


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQServer]:
    with find_rabbitmq() as server:
        yield server.start()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with find_postgres() as server:
        yield server.start()


async def test_killed_rabbitmq_keeps_durable_messages(rabbitmq: RabbitMQServer) -> None:
    """A killed RabbitMQ comes back on the same port with its confirmed messages."""
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")
    await asyncio.to_thread(rabbitmq.kill)
    assert not rabbitmq.running
    await asyncio.to_thread(rabbitmq.start)
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        queue = await channel.get_queue("kept")
        received = await queue.get(timeout=20)
        assert received.body == b"kept"
        await received.ack()


async def test_memory_alarm_blocks_publishers(rabbitmq: RabbitMQServer) -> None:
    """A memory alarm makes publishers wait; its end lets the waiting message through."""
    await asyncio.to_thread(rabbitmq.memory_alarm, on=True)
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("alarmed", exclusive=True)
        publish = asyncio.ensure_future(channel.default_exchange.publish(aio_pika.Message(b"x"), queue.name))
        done, _ = await asyncio.wait([publish], timeout=1)
        assert not done
        await asyncio.to_thread(rabbitmq.memory_alarm, on=False)
        await asyncio.wait_for(publish, 10)
        assert (await asyncio.to_thread(rabbitmq.queue_lengths))[queue.name] == 1


async def test_killed_postgres_keeps_committed_rows(postgres: PostgresServer) -> None:
    """A killed PostgreSQL comes back on the same port with what was committed."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("create extension pgcrypto; create table kept (n int); insert into kept values (7)")
    await asyncio.to_thread(postgres.kill)
    connection.terminate()
    await asyncio.to_thread(postgres.start)
    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("select n from kept") == 7
    await connection.close()


async def test_frozen_postgres_is_silent_and_thaws(postgres: PostgresServer) -> None:
    """A frozen PostgreSQL leaves a query waiting on its open connection; a thawed one answers it."""
    connection = await asyncpg.connect(postgres.url)
    await asyncio.to_thread(postgres.freeze)
    query = asyncio.ensure_future(connection.fetchval("select 1"))
    done, _ = await asyncio.wait([query], timeout=0.5)
    assert not done
    await asyncio.to_thread(postgres.thaw)
    assert await asyncio.wait_for(query, 10) == 1
    await connection.close()


@pytest.mark.parametrize("find", [find_rabbitmq, find_postgres])
def test_stop_leaves_no_process_and_close_no_file(find: Callable[[], Server]) -> None:
    """Stop leaves no process, Erlang's name service included; close leaves no file."""
    server = find()
    if not isinstance(server.host, LocalHost):
        server.close()
        return
    before = set(process_tree(os.getpid()))
    server.start()
    started = set(process_tree(os.getpid())) - before
    assert len(started) >= 2
    server.stop()
    assert not started & process_table().keys()
    assert server.host.folder.exists()
    server.close()
    assert not server.host.folder.exists()


def test_servers_die_with_a_killed_test_run() -> None:
    """A test run that is killed outright still leaves no server and no file behind."""
    script = (
        "import time; from tests.services.postgres import find_postgres; s = find_postgres().start()\n"
        "print(getattr(s.host, 'folder', ''), s.port, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        folder = victim.stdout.readline().split()[0]
        family = set(process_tree(victim.pid))
        victim.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while time.monotonic() < end and (family & process_table().keys() or os.path.exists(folder)):  # noqa: PTH110
        time.sleep(0.1)
    assert not family & process_table().keys()
    assert not os.path.exists(folder)  # noqa: PTH110


def test_unreachable_url_is_one_line() -> None:
    """A set AMQP_URL that nothing answers at ends the run at once, with one line that names it."""
    env = dict(os.environ) | {"AMQP_URL": f"amqp://127.0.0.1:{free_port()}/"}
    argv = [sys.executable, "-m", "tests.services.provide", "false"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: nothing answers at AMQP_URL")
    assert done.stderr.count("\n") == 1


def test_only_root_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are never installed by anyone but root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServiceError, match="only root"):
        install(["nothing"])


def test_only_root_makes_another_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not root is told in one line how to get RabbitMQ 4, and a folder that root made is left alone."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert trixie.find() is None
    with pytest.raises(ServiceError, match="only root") as refused:
        trixie.make()
    assert "\n" not in str(refused.value)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that cannot be asked for is not silently another one."""
    monkeypatch.setenv("RABBITMQ_VERSION", "3")
    with pytest.raises(ServiceError, match="RABBITMQ_VERSION"):
        find_rabbitmq()


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({"node": "echo v18.20.4"}, "only root"),
        ({"node": "echo v12.22.9", "npm": "exit 0"}, "18.19 or later is needed, not v12.22.9"),
        ({"node": "echo v18.20.4", "npm": "echo 'no network' >&2; exit 1"}, "no network"),
    ],
)
def test_without_node_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    programs: dict[str, str],
    why: str,
) -> None:
    """A Node.js that is missing, too old, or without its packages is one line of the run."""
    for name, says in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(node, "INSTALLED", tmp_path / "nothing")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    provide._prepare_node()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("no Node.js with its packages, whose tests skip: ")
    assert why in said
