"""A database of a measurement's own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg

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
