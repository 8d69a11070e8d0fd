"""The consumers in this process, on a real database and the bus in it, behind a source: from delivery to row."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from consumers.handlers import Resources, consumers
from consumers.timing import Timing
from consumers.worker import Worker
from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import BusUnavailable
from ingest.snapshot import Known
from ingest.webhooks import wrap
from integrations.access import Opener
from integrations.budget import Budget
from integrations.clickup.client import transport
from integrations.registry import providers
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import Connected, connect, until
from tests.source import TEAM

TOKEN = "pk_test"
FOLLOWING = ("knowledge", "sync-state", "journal")


def now() -> datetime:
    return datetime.now(UTC)


def wrapped(connected: Connected, *bodies: bytes | Mapping[str, Any], at: datetime | None = None) -> list[Envelope]:
    """Deliveries as ingest accepts them, a millisecond after one another."""
    known, start = Known(id=connected.id, provider="clickup", enabled=True), at or now()
    return [
        wrap(
            body if isinstance(body, bytes) else orjson.dumps(body),
            provider=providers()["clickup"],
            known=known,
            now=start + timedelta(milliseconds=turn),
            traceparent=f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01",
        )
        for turn, body in enumerate(bodies)
    ]


@dataclass(kw_only=True)
class House:
    """One integration that follows its source by deliveries."""

    database: Database
    sql: Any
    bus: Embedded
    connected: Connected
    opener: Opener
    keyring: Keyring
    window: timedelta = timedelta(seconds=0.2)

    def resources(self, stop: asyncio.Event) -> Resources:
        """What the handlers get."""
        return Resources(
            database=self.database,
            bus=self.bus,
            keyring=self.keyring,
            opener=self.opener,
            public_url=None,
            timing=Timing(window=self.window),
            now=now,
            wake=asyncio.Event(),
            knock=asyncio.Event(),
            stop=stop,
        )

    async def deliver(self, *bodies: bytes | Mapping[str, Any]) -> list[Envelope]:
        """Accept these deliveries, as ingest would; while the bus is away, again, as the source would."""
        envelopes = wrapped(self.connected, *bodies)
        for patience in (0.05, 0.2, 1.0):
            try:
                if envelopes:
                    await self.bus.publish(envelopes, within=10)
            except BusUnavailable:
                await asyncio.sleep(patience)
            else:
                return envelopes
        raise BusUnavailable("the bus stays away")

    @asynccontextmanager
    async def consuming(self, *names: str) -> AsyncIterator[None]:
        """Run these consumers while inside."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name in names or FOLLOWING:
                consumer, resources = consumers()[name], self.resources(stop)
                assert consumer.queue is not None
                assert consumer.build is not None
                worker = Worker(
                    queue=consumer.queue,
                    bus=self.bus,
                    handle=consumer.build(resources),
                    concurrency=consumer.concurrency,
                    prefetch=consumer.prefetch,
                )
                group.create_task(worker.run(stop))
                for background in consumer.background:
                    group.create_task(background(resources))
            try:
                yield
            finally:
                stop.set()

    async def idle(self, *, within: float = 30) -> None:
        """Wait until nothing waits: no queue but the dead ones, no outbox."""
        await self.idle_but(within=within)

    async def idle_but(self, *queues: str, within: float = 30) -> None:
        """The same, whatever waits in these queues."""

        async def nothing() -> bool:
            return not await self.sql.fetchval(
                "SELECT (SELECT count(*) FROM kb.queue_messages"
                " WHERE queue NOT LIKE '%.dead' AND queue NOT LIKE 'kb.tail.%' AND queue <> ALL ($1))"
                " + (SELECT count(*) FROM kb.outbox)",
                list(queues),
            )

        await until(nothing, within=within)

    async def object(self, type_: str, id_: str) -> Any:
        """A stored object."""
        return await self.sql.fetchrow(
            "SELECT * FROM kb.objects WHERE integration_id = $1 AND external_type = $2 AND external_id = $3",
            self.connected.id, type_, id_,
        )  # fmt: skip

    async def outline(self) -> tuple[Any, ...]:
        """All rows and statistics, without the times at which we happened to learn things."""
        objects = await self.sql.fetch(
            "SELECT external_type, external_id, type, external_parent_id, external_updated_at, title, body, status,"
            " labels, properties, version, action, deleted_at IS NULL AS alive, deleted_because"
            " FROM kb.objects ORDER BY 1, 2"
        )
        edges = await self.sql.fetch("SELECT src_id, dst_id, type FROM kb.relationships ORDER BY 3, 1, 2")
        state = await self.sql.fetch(
            "SELECT sync_cursor, total_synced_tasks, total_synced_lists, total_synced_spaces, consecutive_failures"
            " FROM kb.clickup_sync_state"
        )
        return tuple(map(tuple, objects)), tuple(map(tuple, edges)), tuple(map(tuple, state))


@asynccontextmanager
async def house(
    database: Database, sql: Any, keyring: Keyring, url: str, *, token: str = TOKEN, workspace_id: str = TEAM
) -> AsyncIterator[House]:
    """A house behind the source at `url`."""
    async with AsyncExitStack() as stack:
        bus = Embedded(database)
        await bus.start(within=10)
        stack.push_async_callback(bus.close)
        http = await stack.enter_async_context(transport())
        yield House(
            database=database,
            sql=sql,
            bus=bus,
            connected=await connect(database, keyring, token=token, workspace_id=workspace_id),
            opener=Opener(
                database=database, keyring=keyring, budget=Budget(database), http=http, clickup_url=url, now=now
            ),
            keyring=keyring,
        )


def samples(folder: Any) -> Sequence[bytes]:
    """The recorded deliveries, in the order of their names."""
    return [path.read_bytes() for path in sorted(folder.glob("*.json"))]
