"""All parts with spans around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp

from cli.tracing.calls import TracedClient, TracedDatabase
from cli.tracing.messages import TracedBus, TracedHandle, TracedSpool
from cli.tracing.parts import Parts
from cli.tracing.served import Served
from cli.tracing.spans import Tracer
from consumers.worker import Handle
from events.bus import Bus
from events.embedded import Embedded
from events.topology import Queue
from schema.postgres import Database


class Traced(Parts):
    """Parts with spans around them. `broker` is what messages go through, as OpenTelemetry calls it."""

    def __init__(self, environment: Mapping[str, str], *, broker: str) -> None:
        self._tracer = Tracer(environment)
        self._broker = broker

    def served(self, application: ASGIApp) -> ASGIApp:
        """See `Parts`."""
        return Served(application, self._tracer)

    def bus(self, bus: Bus) -> Bus:
        """See `Parts`."""
        return TracedBus(bus, self._tracer, self._broker)

    def spool(self, database: Database) -> Embedded:
        """See `Parts`."""
        return TracedSpool(database, self._tracer)

    def handle(self, handle: Handle, queue: Queue) -> Handle:
        """See `Parts`."""
        return TracedHandle(handle, queue.name, self._tracer, self._broker)

    def database(self, url: str, *, program: str, role: str) -> Database:
        """See `Parts`."""
        database = TracedDatabase(url, program=program, role=role, max_size=8)
        database.tracer = self._tracer
        return database

    def client(self, **options: Any) -> httpx.AsyncClient:
        """See `Parts`."""
        client = TracedClient(**options)
        client.tracer = self._tracer
        return client

    def flush(self) -> None:
        """See `Parts`."""
        self._tracer.flush()
