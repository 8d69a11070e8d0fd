"""Everything that is needed to see a fault: servers of our own, a network that we may break, the programs, the source.

    load    -> two ingests
    two ingests, two knowledge, sync-state, journal -> proxy -> RabbitMQ
                                                    -> proxy -> PostgreSQL
                                                    -> proxy -> ClickUp (simulated)

The programs are supervised as systemd or Kubernetes would: one that ended comes back, after `RESTART_SECONDS`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import httpx

from bench.shown import WATCH
from integrations.clickup.simulator.server import Simulator
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import KEY, connect, until
from tests.proxy import Proxy
from tests.resilience.load import Load
from tests.services.postgres import PostgresServer, find_postgres
from tests.services.rabbitmq import RabbitMQServer, find_rabbitmq
from tests.services.server import free_port

TOKEN: Final = "pk_48213377_RESILIENCE"
TASKS: Final = 60
QUIET: Final = 240
"""Tasks that are described, one in twelve seconds' load, and otherwise left alone."""
PROGRAMS: Final = ("ingest", "ingest", "knowledge", "knowledge", "sync-state", "journal")
START_SECONDS: Final = 40.0
STOP_SECONDS: Final = 20.0
RESTART_SECONDS: Final = 2.0
CLOCK: Final = "libfaketime.so.1"
NAMES: Final = "libnss_wrapper.so"
ROOT: Final = Path(__file__).parents[2]


@dataclass(slots=True)
class Program:
    """One program under supervision. `port`: where ingest listens; None for a consumer."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    folder: Path
    port: int | None = None
    wanted: bool = True
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it now."""
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=stream, stderr=stream, cwd=self.folder
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    async def supervise(self) -> None:
        """Start it whenever it is wanted and not there."""
        while True:
            if self.wanted and (self.process is None or self.process.poll() is not None):
                if self.process is not None:
                    await asyncio.sleep(RESTART_SECONDS)
                if self.wanted:
                    self.start()
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        """Stop it in good order, by force if it does not."""
        self.wanted = False
        if self.process is None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)


@dataclass(kw_only=True)
class Rig:
    """See the module.

    Attributes:
        main: what stands between the interpreter and the command, `-m cli` for the real program.
        source: the version that is started: a folder with its source.
    """

    folder: Path
    postgres: PostgresServer
    rabbitmq: RabbitMQServer
    store: Proxy
    broker: Proxy
    api: Proxy
    simulator: Simulator
    load: Load
    integration_id: UUID
    sql: Any
    environment: dict[str, str]
    main: Sequence[str]
    source: Path = ROOT
    programs: list[Program] = field(default_factory=list)
    retired: list[PostgresServer] = field(default_factory=list)
    _supervisors: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def sql_url(self) -> str:
        """The database, past the proxy."""
        return _named(self.postgres.url, "kb")

    @property
    def clock(self) -> Path:
        """The file whose text is how far the programs' clocks are off."""
        return self.folder / "clock"

    @property
    def names(self) -> Path:
        """The file of host names, the only ones that the programs can look up."""
        return self.folder / "hosts"

    def of(self, name: str) -> list[Program]:
        """The programs of a kind that are wanted."""
        return [program for program in self.programs if program.name == name and program.wanted]

    @property
    def command(self) -> list[str]:
        """How a program of this version begins. An older one is always as it was."""
        return [sys.executable, *(self.main if self.source == ROOT else ("-m", "cli"))]

    def add(self, name: str) -> Program:
        """One more program of this version, started and supervised."""
        number = len(self.programs)
        environment, port = dict(self.environment), None
        if name == "ingest":
            port = free_port()
            environment["INGEST_PORT"] = str(port)
        words = [name] if name == "ingest" else ["consume", name]
        program = Program(
            name=name, command=[*self.command, *words], environment=environment, folder=self.source,
            log=self.folder / f"{name}-{number}.log", port=port,
        )  # fmt: skip
        self.programs.append(program)
        self._supervisors.append(asyncio.create_task(program.supervise(), name=f"{name} {number}"))
        return program

    async def ready(self, program: Program) -> None:
        """Wait until an ingest is ready, and offer it load."""
        assert program.port is not None
        async with httpx.AsyncClient(timeout=2) as http:

            async def answers() -> bool:
                with suppress(httpx.HTTPError):
                    return (await http.get(f"http://127.0.0.1:{program.port}/readyz")).status_code == 200
                return False

            await until(answers, within=START_SECONDS)
        self.load.ports.append(program.port)

    async def started(self) -> Self:
        """All programs, ready."""
        for name in PROGRAMS:
            self.add(name)
        for program in self.of("ingest"):
            await self.ready(program)
        return self

    async def migrate(self) -> None:
        """Bring the schema to this version. Raises `subprocess.CalledProcessError`."""
        await _migrated(self.command, self.source, self.environment)

    async def without(self, program: Program) -> None:
        """Take a program out of service: no more new connections first, as a rolling deployment does."""
        if program.port is not None:
            self.load.ports.remove(program.port)
        await program.end()

    async def close(self) -> None:
        """End everything."""
        await self.load.close()
        for task in self._supervisors:
            task.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        await asyncio.gather(*(program.end() for program in self.programs))
        for server in {*self.retired, self.postgres}:
            server.close()

    async def lead_to(self, server: PostgresServer) -> None:
        """From now on this is the database that new connections meet."""
        self.sql.terminate()
        self.store.lead(server.url)
        self.postgres = server
        self.sql = await asyncpg.connect(self.sql_url)


@asynccontextmanager
async def rig(
    folder: Path, *, rate: float, main: Sequence[str] = ("-m", "cli"), source: Path = ROOT
) -> AsyncIterator[Rig]:
    """A rig without programs; see `Rig.started`. `source`: a folder with an older version to begin with."""
    async with AsyncExitStack() as stack:
        postgres, rabbitmq = find_postgres(), find_rabbitmq()
        stack.callback(rabbitmq.close)
        stack.callback(postgres.close)
        await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(rabbitmq.start))
        admin = await asyncpg.connect(postgres.url)
        await admin.execute("CREATE ROLE kb LOGIN CREATEROLE")  # no superuser: a limit of connections must bind it
        await admin.execute('CREATE DATABASE "kb" OWNER kb')
        await admin.close()
        url = _named(postgres.url, "kb").replace("postgres@", "kb@")
        await _migrated([sys.executable, "-m", "cli"], source, {**os.environ, "DATABASE_URL": url})
        simulator = Simulator(seed=4, token=TOKEN)
        address = await stack.enter_async_context(simulator.serving())
        store, broker = Proxy(url, host="localhost"), Proxy(rabbitmq.url, host="localhost")
        api = Proxy(address)
        for proxy in (store, broker, api):
            stack.push_async_callback((await proxy.mend()).cut)
        keyring, database = Keyring([bytes.fromhex(KEY)]), await Database(url, program="rig").open()
        sql = await asyncpg.connect(_named(postgres.url, "kb"))
        await sql.execute(WATCH)
        connected = await connect(database, keyring, token=TOKEN, workspace_id=simulator.workspace.team_id)
        await database.close()
        tasks, quiet = _tasks(simulator, TASKS), _tasks(simulator, QUIET)
        load = Load(
            simulator.workspace, tasks, quiet, path=f"/webhooks/clickup/{connected.id}",
            webhook_id=connected.webhook_id, secret=connected.secret, rate=rate,
        )  # fmt: skip
        one = Rig(
            folder=folder, postgres=postgres, rabbitmq=rabbitmq, store=store, broker=broker, api=api,
            simulator=simulator, load=load, integration_id=connected.id, main=main,
            sql=sql, source=source,
            environment={
                "PATH": os.environ["PATH"], "AMQP_URL": broker.url,
                "DATABASE_URL": store.url, "CLICKUP_API_URL": api.url, "INTEGRATION_ENCRYPTION_KEY": KEY,
                "LOG_LEVEL": "warning", **_turnable(folder),
            },
        )  # fmt: skip
        try:
            yield one
        finally:
            one.sql.terminate()
            await one.close()


async def _migrated(command: Sequence[str], source: Path, environment: Mapping[str, str]) -> None:
    await asyncio.to_thread(
        subprocess.run, [*command, "migrate"], cwd=source, env=dict(environment), check=True, timeout=START_SECONDS,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _tasks(simulator: Simulator, count: int) -> list[str]:
    list_id = simulator.workspace.create_space("Resilience")[1]["list_id"]
    return [simulator.workspace.create_task(list_id, "0")[0]["task_id"] for _ in range(count)]


def _named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def library(name: str) -> Path | None:
    """Where a library to be loaded first is installed (Debian: libfaketime, libnss-wrapper); None if it is not."""
    return next(Path("/usr/lib").glob(f"*-linux-gnu/**/{name}"), None)


def _turnable(folder: Path) -> dict[str, str]:
    """What makes the programs' clocks and host names ours to turn, as far as the libraries for it are there."""
    (folder / "clock").write_text("+0\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    found = [str(path) for name in (CLOCK, NAMES) if (path := library(name)) is not None]
    return {
        "LD_PRELOAD": ":".join(found),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NSS_WRAPPER_HOSTS": str(folder / "hosts"),
    }
