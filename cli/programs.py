"""The programs, put together from the configuration. Every one of them runs alone; `up` runs them all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import httpx
import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from cli import logs, probes
from cli.connections import Bounded
from cli.output import Failed
from cli.settings import Settings, load
from cli.tracing.choice import parts
from cli.tracing.parts import Parts
from consumers.handlers import Resources, consumers
from consumers.worker import Worker
from events.bus import Bus
from events.embedded import Embedded
from events.rabbitmq import RabbitMQ
from events.topology import QUEUES
from ingest import app
from integrations.access import Opener
from integrations.budget import Budget
from integrations.clickup.client import transport
from schema.postgres import Database

START_SECONDS: Final = 5.0
KEEP_ALIVE_SECONDS: Final = 65
"""Longer than clients and proxies commonly keep an idle connection: whoever closes first should be the one who would
otherwise send the next request into a closing connection."""
DRAIN_SECONDS: Final = 6
"""How long answered-but-unfinished connections may take at a stop."""


def ingest_app(settings: Settings | None = None, made_of: Parts | None = None) -> ASGIApp:
    """The ingest application; uvicorn's workers call this without arguments."""
    if settings is None:
        settings = load()
        logs.configure(level=settings.log_level, form=settings.log_format)
    made_of = made_of or parts(settings, "ingest")
    database = Database(settings.need("database_url"), program="ingest", role="kb_ingest", max_size=8)
    spool = made_of.spool(database) if settings.amqp_url is not None else None
    bus = RabbitMQ(settings.need("amqp_url"), name="kb-ingest ingest") if spool is not None else Embedded(database)
    return made_of.served(
        app.build(
            bus=made_of.bus(bus),
            spool=spool,
            database=database,
            keyring=settings.keyring(),
            max_body=settings.max_body_bytes,
            spool_max=settings.spool_max,
            loaded=keep_loaded,
        )
    )


def keep_loaded() -> None:
    """Let the garbage collector pass over what is loaded by now, for good: going through it all takes 50 ms each time,
    in which nobody is answered.
    """
    gc.collect()
    gc.freeze()


def http_server(application: ASGIApp | str, *, workers: int = 1) -> uvicorn.Config:
    """How uvicorn serves: fast parser and loop, bounded connections, no access log, a graceful stop with an end."""
    return uvicorn.Config(
        application,
        workers=workers,
        factory=isinstance(application, str),
        loop="uvloop",
        http=Bounded,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def listener(host: str, port: int, *, of: str = "INGEST") -> socket.socket:
    """A bound socket. Raises `Failed` when the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # said to be TCP outright, or asyncio leaves Nagle's algorithm on and an answer in two writes waits 40 ms
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Failed(f"{host}:{port} cannot be listened on ({why}); choose another {of}_HOST or {of}_PORT") from error
    bound.set_inheritable(True)
    return bound


def run_ingest(settings: Settings, *, workers: int) -> None:
    """Serve until a signal. With several workers, each is a process with its own connections."""
    settings.need("database_url"), settings.need("amqp_url"), settings.keyring()
    with listener(settings.ingest_host, settings.ingest_port) as bound:
        if workers == 1:
            Server(http_server(ingest_app(settings))).run(sockets=[bound])
            return
        with tempfile.TemporaryDirectory(prefix="kb-ingest-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # the workers' counters meet there
            Multiprocess(http_server("cli.programs:ingest_app", workers=workers), sockets=[bound]).run()


class Server(uvicorn.Server):
    """A server that is the whole program: a signal ends it in good order, which is no failure."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in the base, but the signal is not raised once more when everything is done."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class InProcessServer(uvicorn.Server):
    """A server among other tasks: signals are the process's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


@contextlib.asynccontextmanager
async def serving(application: ASGIApp, *, host: str, port: int, of: str = "INGEST") -> AsyncIterator[None]:
    """Serve while inside, and stop gracefully."""
    bound = listener(host, port, of=of)
    server = InProcessServer(http_server(application))
    task = asyncio.create_task(server.serve(sockets=[bound]), name=of.lower())
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        yield
    finally:
        if (live := getattr(getattr(application, "state", None), "live", None)) is not None:
            live.close()  # its streams would never end by themselves
        server.should_exit = True
        await asyncio.wait([task], timeout=DRAIN_SECONDS + 2)
        bound.close()


async def run_consumers(
    settings: Settings,
    names: Sequence[str],
    stop: asyncio.Event,
    *,
    alone: bool = False,
    made_of: Parts | None = None,
) -> None:
    """Run consumers in this process until `stop`; if they are alone there, with their health and metrics served."""
    made_of = made_of or parts(settings, "-".join(names))
    checks = {name: probes.starting(name) for name in names}
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        stack.push_async_callback(asyncio.to_thread, made_of.flush)
        if alone and settings.metrics_port is not None:
            served = serving(probes.build(checks), host=settings.metrics_host, port=settings.metrics_port, of="METRICS")
            await stack.enter_async_context(served)
        http = await stack.enter_async_context(transport(made_of.client))
        bus = made_of.bus(await open_bus(settings, names, stack))
        wake, knock = asyncio.Event(), asyncio.Event()
        for name in names:
            consumer = consumers()[name]
            database = made_of.database(settings.need("database_url"), program=name, role=consumer.role)
            await database.open()
            stack.push_async_callback(database.close)
            resources = Resources(
                database=database,
                bus=bus,
                keyring=settings.keyring(),
                opener=opener(settings, database, http),
                public_url=settings.public_address(),
                timing=settings.timing(),
                now=now,
                wake=wake,
                knock=knock,
                stop=stop,
            )
            if consumer.queue is not None and consumer.build is not None:
                handle = made_of.handle(consumer.build(resources), consumer.queue)
                worker = Worker(
                    queue=consumer.queue,
                    bus=bus,
                    handle=handle,
                    concurrency=consumer.concurrency,
                    prefetch=consumer.prefetch,
                )
                group.create_task(worker.run(stop), name=name)
                checks[name] = probes.receives(worker)
            else:
                checks[name] = probes.answers(database)
            for background in consumer.background:
                group.create_task(background(resources), name=f"{name} background")
        if alone:
            keep_loaded()


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def opener(settings: Settings, database: Database, http: httpx.AsyncClient) -> Opener:
    """What opens integrations and asks their sources, all under the one rate budget."""
    return Opener(
        database=database,
        keyring=settings.keyring(),
        budget=Budget(database),
        http=http,
        clickup_url=settings.clickup_api_url.get_secret_value(),
        now=now,
    )


async def open_bus(settings: Settings, names: Sequence[str], stack: contextlib.AsyncExitStack) -> Bus:
    """RabbitMQ if AMQP_URL is set, else the bus in PostgreSQL; closed with the stack."""
    queues = list(dict.fromkeys([*QUEUES, *(queue for name in names if (queue := consumers()[name].queue))]))
    bus: Bus
    if settings.amqp_url is not None:
        bus = RabbitMQ(settings.need("amqp_url"), queues=queues, name=f"kb-ingest {' '.join(names)}")
    else:
        database = await Database(settings.need("database_url"), program="bus", max_size=8).open()
        stack.push_async_callback(database.close)
        bus = Embedded(database, queues=queues)
    await bus.start(within=START_SECONDS)
    stack.push_async_callback(bus.close)
    return bus


async def reachable_bus(settings: Settings, stack: contextlib.AsyncExitStack) -> Bus:
    """The bus for a command that needs it now. Raises `Failed` when it cannot be reached."""
    bus = await open_bus(settings, (), stack)
    if not bus.ready:
        why = f" ({bus.fault})" if isinstance(bus, RabbitMQ) and bus.fault else ""
        raise Failed(f"the broker cannot be reached{why}; check AMQP_URL or DATABASE_URL, and the server")
    return bus


def until_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
