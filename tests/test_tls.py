"""TLS to servers of our own: the right authority and name let one in, everything else is refused in one line."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from cli.main import run
from cli.settings import EXAMPLES
from events.rabbitmq import RabbitMQ
from schema.errors import DatabaseUnavailable
from schema.postgres import Database, single
from tests.conftest import KEY, until
from tests.services.authority import Authority
from tests.services.postgres import PostgresServer, find_postgres
from tests.services.rabbitmq import RabbitMQServer, find_rabbitmq
from tests.services.server import LocalHost, free_port

DATABASE, BROKER, OTHER = "db.acme.test", "mq.acme.test", "other.acme.test"
HUSH = "HushHush"


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The names of `acme.test` lead to this machine; nobody's certificates and configuration count."""
    resolve = socket.getaddrinfo

    def here(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".acme.test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in (*EXAMPLES, "PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("foreign"), "foreign")


def folder(server: PostgresServer | RabbitMQServer) -> Path:
    """Where the server may be given files; in a container it cannot."""
    if not isinstance(server.host, LocalHost):
        server.close()
        pytest.skip("certificates are given to installed servers")
    return server.host.folder


@pytest.fixture(scope="module")
def postgres(ours: Authority) -> Iterator[PostgresServer]:
    """A server with a certificate for `DATABASE`."""
    with find_postgres() as server:
        at, local = folder(server), server.host
        assert isinstance(local, LocalHost)
        for made, name in zip(ours.certificate(DATABASE), ("server.crt", "server.key"), strict=True):
            (at / name).write_bytes(made.read_bytes())
            (at / name).chmod(0o600)
            if local.user:
                shutil.chown(at / name, local.user)
        local.argv += ["-c", "ssl=on", "-c", f"ssl_cert_file={at}/server.crt", "-c", f"ssl_key_file={at}/server.key"]
        yield server.start()


@pytest.fixture(scope="module")
def rabbitmq(ours: Authority) -> Iterator[tuple[RabbitMQServer, int]]:
    """A node with a certificate for `BROKER`, and the port where it speaks TLS."""
    with find_rabbitmq() as server:
        at, port = folder(server), free_port()
        chain, key = ours.certificate(BROKER)
        with (at / "rabbitmq.conf").open("a") as configuration:
            configuration.write(
                f"listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {ours.file}\n"
                f"ssl_options.certfile = {chain}\nssl_options.keyfile = {key}\n"
                "ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n"
            )
        yield server.start(), port


def database_url(server: PostgresServer, host: str, query: str = "") -> str:
    return f"postgresql://postgres:{HUSH}@{host}:{server.port}/postgres?{query}"


async def is_encrypted(url: str) -> bool:
    """Whether a connection to there is."""
    connection = await single(url)
    try:
        return bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    finally:
        await connection.close()


async def test_a_verified_database_is_connected_to(postgres: PostgresServer, ours: Authority) -> None:
    """With the authority of its own and the right name: migrations, pools and listeners alike."""
    url = database_url(postgres, DATABASE, f"sslrootcert={ours.file}")
    assert await is_encrypted(url)
    database = await Database(url, program="test").open()
    heard: list[str] = []
    database.listen("here", heard.append)
    assert await database.fetchrow("tenant", "*", "*")
    await until(lambda: heard == [""])
    await database.close()


async def test_what_the_address_says_goes(postgres: PostgresServer) -> None:
    """An explicit sslmode is obeyed; this machine is spoken to as ever, certificate or not."""
    assert not await is_encrypted(database_url(postgres, DATABASE, "sslmode=disable"))
    assert await is_encrypted(database_url(postgres, OTHER, "sslmode=require"))
    assert await is_encrypted(database_url(postgres, "127.0.0.1"))


@pytest.mark.parametrize(
    ("host", "authority", "why"),
    [
        (DATABASE, None, "unable to get local issuer"),
        (DATABASE, "foreign", "unable to get local issuer"),
        (OTHER, "ours", "Hostname mismatch"),
    ],
)
async def test_another_database_is_refused_in_one_line(
    postgres: PostgresServer, request: pytest.FixtureRequest, host: str, authority: str | None, why: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """By the pool, by the listener's log, and by a command, which says what is wrong and what to do."""
    query = f"sslrootcert={request.getfixturevalue(authority).file}" if authority else ""
    url = database_url(postgres, host, query)
    database = await Database(url, program="test").open()
    with pytest.raises(DatabaseUnavailable) as raised:
        await database.fetchrow("tenant", "*", "*")
    assert why in str(raised.value)
    with capture_logs() as logs:
        database.listen("here", lambda _: None)
        await until(lambda: bool(logs))
    assert why in logs[0]["error"]
    await database.close()
    monkeypatch.setenv("DATABASE_URL", url)
    assert await asyncio.to_thread(run, ["migrate"]) == 1
    complaint = capsys.readouterr().err
    assert why in complaint
    assert "?sslrootcert=FILE" in complaint
    assert complaint.count("\n") == 1
    assert HUSH not in complaint


@asynccontextmanager
async def without_tls() -> AsyncIterator[int]:
    """A server that, asked for TLS as PostgreSQL is, declines."""

    async def decline(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"N")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(decline, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_database_without_tls_is_not_spoken_to() -> None:
    """No password goes there; the line says how to allow it."""
    async with without_tls() as port:
        with pytest.raises(DatabaseUnavailable, match=r"does not speak TLS .*\?sslmode=disable"):
            await single(f"postgresql://postgres:{HUSH}@{DATABASE}:{port}/postgres")


async def test_a_verified_broker_is_connected_to(rabbitmq: tuple[RabbitMQServer, int], ours: Authority) -> None:
    """With the authority of its own and the right name; the fault of an earlier attempt is forgotten."""
    bus = RabbitMQ(f"amqps://guest:guest@{BROKER}:{rabbitmq[1]}/?cafile={ours.file}")
    await bus.start(within=10)
    assert bus.ready
    assert bus.fault is None
    await bus.ping(within=5)
    await bus.close()


async def test_a_broker_in_the_clear_is_spoken_to_where_the_address_says_so(
    rabbitmq: tuple[RabbitMQServer, int],
) -> None:
    """The library takes no notice of the word."""
    bus = RabbitMQ(f"amqp://guest:guest@{BROKER}:{rabbitmq[0].port}/?sslmode=disable")
    await bus.start(within=10)
    assert bus.ready
    await bus.close()


@pytest.mark.parametrize(
    ("host", "authority", "why", "mend"),
    [
        (BROKER, None, "certificate is not accepted", "?cafile=FILE"),
        (BROKER, "foreign", "certificate is not accepted", "?cafile=FILE"),
        (OTHER, "ours", "Hostname mismatch", "?cafile=FILE"),
        (BROKER, "plain", "does not speak TLS", "turn TLS on"),
    ],
)
async def test_another_broker_is_refused_in_one_line(
    rabbitmq: tuple[RabbitMQServer, int], request: pytest.FixtureRequest, host: str, authority: str | None, why: str,
    mend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """`doctor` says what is wrong and what to do; the password stays where it is."""
    server, port = rabbitmq
    port = server.port if authority == "plain" else port
    query = f"?cafile={request.getfixturevalue(authority).file}" if authority not in (None, "plain") else ""
    monkeypatch.setenv("AMQP_URL", f"amqps://guest:{HUSH}@{host}:{port}/{query}")
    monkeypatch.setenv("INTEGRATION_ENCRYPTION_KEY", KEY)
    assert await asyncio.to_thread(run, ["doctor", "--json"]) == 1
    printed, complaint = capsys.readouterr()
    (check,) = (one for one in orjson.loads(printed) if one["subject"] == "AMQP_URL")
    assert not check["good"]
    assert why in check["finding"]
    assert mend in check["finding"]
    assert HUSH not in printed + complaint


@pytest.mark.parametrize("command", [["ingest"], ["gallery"], ["consume", "journal"], ["up"], ["doctor"]])
def test_a_broker_in_the_clear_is_refused_at_the_start(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is sent to it, by every program."""
    monkeypatch.setenv("AMQP_URL", f"amqp://guest:{HUSH}@{BROKER}:5672/")
    assert run(command) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: AMQP_URL would show its password to the network: use amqps://")
    assert complaint.count("\n") == 1
    assert HUSH not in complaint
