"""PostgreSQL: with `postgres_errors.py` the only file that imports asyncpg.

Promises: every call has a deadline; a failure of the connection or a passing conflict between transactions is
`DatabaseUnavailable` and nothing else is; statements come by name from `schema/queries/*.sql`, so no SQL is built
in Python; a program works under its own role when the server has it; `listen` comes back by itself.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import orjson
import structlog

from schema.address import secured
from schema.postgres_errors import UNAVAILABLE, describe, is_spent, translated

Row = Any
"""A row as asyncpg gives it: fields by name or position."""

QUERIES: Final = Path(__file__).parent / "queries"
CONNECT_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0
RECONNECT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger()


@functools.cache
def sql(name: str) -> str:
    """The text of `schema/queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text()


class Transaction:
    """Named statements on one connection: inside `Database.transaction` they share one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, name: str, *arguments: object) -> list[Row]:
        """All rows of a named statement."""
        return list(await self._connection.fetch(sql(name), *arguments))

    async def fetchrow(self, name: str, *arguments: object) -> Row | None:
        """The first row of a named statement, or None."""
        return await self._connection.fetchrow(sql(name), *arguments)

    async def execute(self, name: str, *arguments: object) -> int:
        """Run a named statement; the number of rows it touched."""
        status: str = await self._connection.execute(sql(name), *arguments)
        last = status.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0


class Database:
    """A pool of connections under one role. `open` it before use.

    Attributes:
        url: a PostgreSQL URL.
        program: shown as `application_name`.
        role: work under this role if the server has it and the user is a member of it.
        max_size: most connections at a time.
    """

    def __init__(self, url: str, *, program: str, role: str | None = None, max_size: int = 4) -> None:
        self._url = url
        self._role = role
        self._program = program
        self._max_size = max_size
        self._pool: Any = None
        self._tenant: tuple[str, str] | None = None
        self._listeners: set[asyncio.Task[None]] = set()

    async def open(self) -> Self:
        """Make the pool. It connects with the first call, so this succeeds while the server is away."""
        with translated():
            self._pool = await asyncpg.create_pool(
                **secured(self._url),
                min_size=0,
                max_size=self._max_size,
                timeout=CONNECT_SECONDS,
                command_timeout=None,  # every call has its own deadline, see `_connection`
                init=self._prepare,
                reset=_nothing_to_undo,
                server_settings={"application_name": f"kb-ingest {self._program}", "timezone": "UTC"},
            )
        return self

    async def _prepare(self, connection: Any) -> None:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json, decoder=orjson.loads)
        await connection.execute(sql("set_session"))
        if self._role is not None:
            await connection.execute(sql("set_role"), self._role)

    def of(self, org_id: str | None, project_id: UUID | None) -> Self:
        """The same pool in the name of a tenant: an organisation, a project of it, or None for all of them.

        For the roles whose rows PostgreSQL itself keeps apart (`0012_gallery.sql`); others see what they always see.
        """
        tenant = copy.copy(self)
        tenant._tenant = (_whose(org_id), _whose(project_id))  # noqa: SLF001  its own kind
        return tenant

    @asynccontextmanager
    async def transaction(self, *, within: float = CALL_SECONDS) -> AsyncIterator[Transaction]:
        """One transaction, committed when the block ends well and rolled back when it does not.

        Raises:
            DatabaseUnavailable: no connection, a broken one, `within` seconds were not enough for connecting, the
                block and the commit together, or the server gave this transaction up (deadlock, serialization).
        """
        async with self._connection(within) as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                if self._tenant is not None:
                    await connection.execute(sql("tenant"), *self._tenant)
                yield Transaction(connection)
            except Exception:
                await transaction.rollback()
                raise
            await transaction.commit()

    @asynccontextmanager
    async def statement(self, *, within: float = CALL_SECONDS) -> AsyncIterator[Transaction]:
        """One connection without BEGIN and COMMIT: each statement commits by itself, at one round trip.

        In the name of a tenant it is a transaction all the same: that ends the name along with it.
        """
        if self._tenant is not None:
            async with self.transaction(within=within) as transaction:
                yield transaction
            return
        async with self._connection(within) as connection:
            yield Transaction(connection)

    @asynccontextmanager
    async def _connection(self, within: float) -> AsyncIterator[Any]:
        with translated():
            async with asyncio.timeout(within):
                connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
                try:
                    yield connection
                except asyncio.CancelledError:
                    # out of time, or told to stop: asyncpg would ask the server to cancel and wait for its answer,
                    # which a silent server never gives; without its socket the server rolls back by itself
                    connection.terminate()
                    raise
                except Exception as error:
                    if is_spent(error):
                        connection.terminate()
                    raise
                finally:
                    await self._pool.release(connection)

    async def fetch(self, name: str, *arguments: object, within: float = CALL_SECONDS) -> list[Row]:
        """All rows of one named statement."""
        async with self.statement(within=within) as connection:
            return await connection.fetch(name, *arguments)

    async def fetchrow(self, name: str, *arguments: object, within: float = CALL_SECONDS) -> Row | None:
        """The first row of one named statement, or None."""
        async with self.statement(within=within) as connection:
            return await connection.fetchrow(name, *arguments)

    async def execute(self, name: str, *arguments: object, within: float = CALL_SECONDS) -> int:
        """Run one named statement; the number of rows it touched."""
        async with self.statement(within=within) as connection:
            return await connection.execute(name, *arguments)

    def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        """Call `heard(payload)` for every NOTIFY on `channel`, until `close`.

        It also calls `heard("")` after each (re)connect, because what was said while nobody listened is lost.
        """
        self._listeners.add(asyncio.create_task(self._listen(channel, heard), name=f"listen {channel}"))

    async def _listen(self, channel: str, heard: Callable[[str], None]) -> None:
        failures = 0
        while True:
            try:
                connection = await asyncpg.connect(
                    **secured(self._url),
                    timeout=CONNECT_SECONDS,
                    server_settings={"application_name": f"kb-ingest {self._program} listener"},
                )
                try:
                    gone = asyncio.Event()
                    connection.add_termination_listener(lambda _connection, gone=gone: gone.set())
                    await connection.add_listener(channel, lambda _c, _p, _ch, payload: heard(payload))
                    failures = 0
                    heard("")
                    while not gone.is_set():
                        with suppress(TimeoutError):
                            await asyncio.wait_for(gone.wait(), 15)
                        if not gone.is_set():  # a silent peer (power cut, firewall) never says that it is gone
                            await connection.execute("SELECT 1", timeout=CONNECT_SECONDS)
                finally:
                    connection.terminate()
            except (*UNAVAILABLE, asyncpg.PostgresError) as error:
                log.warning("database.listener_lost", channel=channel, error=describe(error))
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def close(self) -> None:
        """Stop listening, give calls in flight two seconds, close the connections."""
        for task in self._listeners:
            task.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        try:
            async with asyncio.timeout(2):
                await self._pool.close()
        except (*UNAVAILABLE, asyncpg.PostgresError):
            self._pool.terminate()


def _whose(id_: object) -> str:
    return "*" if id_ is None else f"={id_}"


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()  # asyncpg's own UUID type is not the standard one


async def _nothing_to_undo(_connection: Any) -> None:
    """Instead of asyncpg's RESET ALL, a round trip each time: our statements leave nothing behind."""


async def single(url: str) -> Any:
    """One plain connection with the user's own rights, for migrations; the caller closes it."""
    with translated():
        return await asyncpg.connect(**secured(url), timeout=CONNECT_SECONDS)
