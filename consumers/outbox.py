"""The relay: publish what was applied, in order, and forget it once the broker confirmed.

Promises: every event of the outbox is published at least once (its id stays the same); an object's events in the
order of its changes; no leader, whichever process is free takes the next turn.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from events.bus import Bus
from events.envelope import Envelope
from events.errors import BusError
from schema.errors import DatabaseUnavailable
from schema.postgres import Database

BATCH: Final = 500
IDLE_SECONDS: Final = 1.0
PUBLISH_SECONDS: Final = 5.0

log = structlog.get_logger()


async def relay(database: Database, bus: Bus, *, wake: asyncio.Event, stop: asyncio.Event) -> None:
    """Relay until `stop` is set, once more after it. `wake` says that there is something now."""
    while True:
        last = stop.is_set()
        wake.clear()
        try:
            relayed = await relay_once(database, bus)
        except (DatabaseUnavailable, BusError) as error:
            log.warning("outbox.waiting", error=str(error))
            relayed = 0
        if last:
            return
        if relayed < BATCH:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await wake.wait()


async def relay_once(database: Database, bus: Bus) -> int:
    """Publish one batch; how many events that were."""
    async with database.transaction(within=2 * PUBLISH_SECONDS) as transaction:
        turn = await transaction.fetchrow("outbox_turn")
        rows = await transaction.fetch("outbox_take", BATCH) if turn and turn["mine"] else []
        if rows:
            envelopes = [Envelope.decode(row["headers"], row["body"]) for row in rows]
            await bus.publish(envelopes, within=PUBLISH_SECONDS)
            await transaction.execute("outbox_remove", [row["id"] for row in rows])
        return len(rows)
