"""What programs and commands are put together from: the bus, who opens integrations, a signal, the clock."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import httpx

from cli.output import Failed
from cli.settings import Settings
from consumers.handlers import consumers
from events.bus import Bus
from events.embedded import Embedded
from events.rabbitmq import RabbitMQ
from events.topology import QUEUES
from integrations.access import Opener
from integrations.budget import Budget
from schema.postgres import Database

START_SECONDS: Final = 5.0


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
        clickup_url=settings.clickup_api_url.value,
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
