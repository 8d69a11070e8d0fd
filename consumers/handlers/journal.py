"""`journal`: the delivery log. Every accepted delivery, as received, for as long as the retention says.

Needs no claims: a delivery handed out twice is the same row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog

from consumers.handlers import Consumer, Resources
from consumers.worker import Handle
from events.envelope import Envelope
from events.topology import JOURNAL
from schema.errors import DatabaseUnavailable

KEEP_DAYS: Final = 30
AHEAD_DAYS: Final = 7
OUTCOME_DAYS: Final = KEEP_DAYS + 1
"""Of claims and failures: longer than any redelivery (retries end after about a day), and than the journal, which keeps
whole days and says of each event what became of it: without its claim, what was applied would wait again."""
HISTORY_DAYS: Final = 90
"""Of jobs, gaps and webhook health."""
INDEX_SECONDS: Final = 600.0
"""Some 2 s a million events of a day."""
HOUSEKEEPING_SECONDS: Final = 3600.0

log = structlog.get_logger()


def build(resources: Resources) -> Handle:
    """The handler, see `worker.Handle`."""

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception]:
        await resources.database.execute(
            "journal_append",
            [envelope.time for envelope in batch],
            [envelope.id for envelope in batch],
            [envelope.integration_id for envelope in batch],
            [envelope.type for envelope in batch],
            [envelope.subject for envelope in batch],
            [envelope.traceparent for envelope in batch],
            [envelope.headers() for envelope in batch],
            [envelope.data for envelope in batch],
        )
        return {}

    return handle


async def keep_house(resources: Resources) -> None:
    """Hourly, safe in every replica: partitions are made ahead, indexed when past, dropped when old; old claims go."""
    while not resources.stop.is_set():
        try:
            made = await resources.database.fetchrow("journal_keep_ahead", AHEAD_DAYS)
            dropped = await resources.database.fetchrow("journal_forget", KEEP_DAYS)
            indexed = await _index_past(resources)
            claims = await resources.database.execute("inbox_forget", OUTCOME_DAYS, within=60)
            await resources.database.execute("failures_forget", OUTCOME_DAYS, within=60)
            await resources.database.execute("history_forget", HISTORY_DAYS, within=60)
            log.info(
                "journal.housekeeping",
                made=made and made[0],
                dropped=dropped and dropped[0],
                indexed=indexed,
                claims=claims,
            )
        except DatabaseUnavailable as error:
            log.warning("journal.housekeeping_postponed", error=str(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(HOUSEKEEPING_SECONDS):
                await resources.stop.wait()


async def _index_past(resources: Resources) -> int:
    """Index the days that are over and are not indexed yet: one a day, and all of them after an update. How many."""
    done = 0
    while not resources.stop.is_set():
        row = await resources.database.fetchrow("journal_index_past", within=INDEX_SECONDS)
        if row is None or row["indexed"] is None:
            break
        done += 1
    return done


CONSUMER: Final = Consumer(
    name=JOURNAL.consumer, queue=JOURNAL, role="kb_journal", build=build, background=(keep_house,)
)
