"""The delivery log read back: search it, and replay from it.

A replay takes the consumer's claims back and publishes the events again, as they were first received and with the
same ids, marked as replayed. So what is applied is what the source says now; a subscriber that remembers ids, or
skips what is marked, hears nothing twice. Rows change only where they were wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from events.bus import Bus
from events.envelope import Envelope
from events.topology import KNOWLEDGE
from schema.postgres import Database, Row

OUTCOMES: Final = ("applied", "failed", "waiting")
STATEMENTS: Final[dict[str | None, str]] = {"failed": "deliveries_failed", "waiting": "deliveries_waiting"}
"""Those that are few are looked for where they are few; the newest of all else are soon found by `deliveries`."""
PAGE: Final = 100
SEARCH_SECONDS: Final = 60.0
PUBLISH_SECONDS: Final = 10.0
_BEGINNING: Final = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which deliveries: those that match everything that is given.

    Attributes:
        type: beginning of the event's type.
        since: received then or later.
        until: received before.
        subject: `<entity>/<id>`.
        outcome: one of `OUTCOMES`: applied to the knowledge base, failed so far, or not there yet.
    """

    integration_id: UUID | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    subject: str | None = None
    outcome: str | None = None

    def arguments(self) -> tuple[object, ...]:
        """The first six arguments of `journal_count` and `journal_replay`."""
        return self.integration_id, self.type, self.since, self.until, self.subject, self.outcome


async def search(database: Database, wanted: Search, *, limit: int) -> list[Row]:
    """Deliveries, newest first, without their bodies."""
    return await database.fetch(
        STATEMENTS.get(wanted.outcome, "deliveries"),
        *(None, None),  # no page before this one
        wanted.integration_id and [wanted.integration_id],
        wanted.type,
        wanted.since or _BEGINNING[0],
        wanted.until,
        wanted.subject,
        wanted.outcome,
        limit,
        within=SEARCH_SECONDS,
    )


async def replay(
    database: Database,
    bus: Bus,
    wanted: Search,
    *,
    ids: Sequence[UUID] | None,
    rate: float,
    progress: Callable[[int, int], None],
) -> int:
    """Replay what matches, and of that only `ids` if given, oldest first; how many events that were.

    `rate` is in events a second; `progress` hears how many are published, of how many. Interrupted between taking
    claims back and publishing, an event is found again as `waiting`. What arrives meanwhile is replayed, too, unless
    `wanted.until` ends it.

    Raises:
        BusError: the broker did not take them; those before are published.
    """
    chosen = None if ids is None else list(ids)
    counted = await database.fetchrow("journal_count", *wanted.arguments(), chosen, within=60)
    total, done, after = int(counted["events"]) if counted else 0, 0, _BEGINNING
    loop = asyncio.get_running_loop()
    started = loop.time()
    progress(0, total)
    while True:
        rows = await database.fetch("journal_replay", *wanted.arguments(), chosen, *after, PAGE, within=60)
        if not rows:
            return done
        step = max(1, min(PAGE, round(rate / 10)))
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            await database.execute("claims_drop", KNOWLEDGE.consumer, [row["event_id"] for row in part])
            envelopes = [replace(Envelope.decode(row["headers"], row["body"]), replayed=True) for row in part]
            await bus.publish(envelopes, within=PUBLISH_SECONDS)
            done += len(part)
            progress(done, max(total, done))
            await asyncio.sleep(max(0.0, started + done / rate - loop.time()))
        after = (rows[-1]["received_at"], rows[-1]["event_id"])
