"""What programs are put together from, where tracing could get between."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.types import ASGIApp

from consumers.worker import Handle
from events.bus import Bus
from events.embedded import Embedded
from events.topology import Queue
from schema.postgres import Database


class Parts:
    """What programs are put together from. Here: as it is."""

    def served(self, application: ASGIApp) -> ASGIApp:
        """Ingest, which takes deliveries."""
        return application

    def bus(self, bus: Bus) -> Bus:
        """A bus, to publish and to receive."""
        return bus

    def spool(self, database: Database) -> Embedded:
        """Where events wait for the bus."""
        return Embedded(database)

    def handle(self, handle: Handle, queue: Queue) -> Handle:  # noqa: ARG002  others look at it
        """A handler of a queue's events."""
        return handle

    def database(self, url: str, *, program: str, role: str) -> Database:
        """A consumer's database."""
        return Database(url, program=program, role=role, max_size=8)

    def client(self, **options: Any) -> httpx.AsyncClient:
        """What asks sources; the options are httpx's."""
        return httpx.AsyncClient(**options)

    def flush(self) -> None:
        """The end: send what was not sent."""
