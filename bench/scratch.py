"""A database of a measurement's own, and queues that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from events.rabbitmq import RabbitMQ
from events.topology import QUEUES, Queue
from schema.migrate import migrate


async def database(stack: AsyncExitStack, server: str, name: str) -> str:
    """Make it anew on the server, migrated; its URL. It goes when the stack ends."""
    owner = await asyncpg.connect(server)
    stack.push_async_callback(owner.close)
    await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await owner.execute(f'CREATE DATABASE "{name}"')
    stack.push_async_callback(owner.execute, f'DROP DATABASE "{name}" WITH (FORCE)')
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    await migrate(url)
    return url


async def tidy(bus: RabbitMQ, queues: Sequence[Queue] = QUEUES) -> None:
    """Take away these queues with all that belongs to them, and close the bus."""
    link = await bus.link()
    for queue in queues:
        for name in (queue.name, queue.dead, *(queue.retry(step) for step in range(len(queue.ladder)))):
            await link.channel.queue_delete(name)
    await bus.close()
