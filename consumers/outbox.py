"""The relay: publish what was applied, in order, and forget it once the broker confirmed.

Promises: every event of the outbox is published at least once (its id stays the same); an object's events in the
order of its changes; no leader, whichever process is free takes the next turn; a turn costs what it publishes, however
many old rows there were.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

import structlog

from consumers import metrics
from events.bus import Bus
from events.envelope import Envelope
from events.errors import BusError
from schema.errors import DatabaseUnavailable
from schema.postgres import Database

BATCH: Final = 500
IDLE_SECONDS: Final = 1.0
PUBLISH_SECONDS: Final = 5.0
IN_FLIGHT: Final = 10_000
"""How far behind the newest id a transaction may still commit its own. A batch is looked for from there on: past what
was removed long ago, which a long transaction anywhere in the database keeps the server from sweeping out."""
LOOK_BACK_SECONDS: Final = 60.0
"""Once in so long it is looked for from the beginning, for one that took its time."""

log = structlog.get_logger()


async def relay(database: Database, bus: Bus, *, wake: asyncio.Event, stop: asyncio.Event) -> None:
    """Relay until `stop` is set, once more after it. `wake` says that there is something now."""
    after, looked_back = 0, time.monotonic()
    while True:
        last = stop.is_set()
        wake.clear()
        if time.monotonic() - looked_back > LOOK_BACK_SECONDS:
            after, looked_back = 0, time.monotonic()
        try:
            relayed, after = await relay_once(database, bus, after=after)
        except (DatabaseUnavailable, BusError) as error:
            log.warning("outbox.waiting", error=str(error))
            relayed = 0
        if last:
            return
        if relayed < BATCH:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await wake.wait()


async def relay_once(database: Database, bus: Bus, *, after: int = 0) -> tuple[int, int]:
    """Publish one batch of what stands after an id; how many events that were, and the id to go on after."""
    async with database.transaction(within=2 * PUBLISH_SECONDS) as transaction:
        turn = await transaction.fetchrow("outbox_turn")
        if turn is None or not turn["mine"]:
            return 0, after
        rows = await transaction.fetch("outbox_take", BATCH, after)
        if rows:
            envelopes = [Envelope.decode(row["headers"], row["body"]) for row in rows]
            await bus.publish(envelopes, within=PUBLISH_SECONDS)
            await transaction.execute("outbox_remove", [row["id"] for row in rows])
            metrics.RELAYED.inc(len(rows))
        newest = rows[-1]["id"] if rows else turn["newest"] or 0
        return len(rows), max(after, newest - IN_FLIGHT)
