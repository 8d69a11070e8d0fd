"""Jobs: asked for, claimed, worked on page by page, ended. One runs at a time for an integration.

Promises: asking twice with the same id is asking once; what a page brings and where to go on after it are committed
together; whoever lost its lease writes nothing more; every change of state is told as an `import.*` event.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from schema.postgres import Database, Row, Transaction
from schema.records import Ref

LEASE_SECONDS: Final = 10.0
"""A worker that says nothing for so long is dead."""
CHANNEL: Final = "kb_jobs"
"""Notified when there is a job to take."""

Tell = Callable[[Row, str], tuple[Mapping[str, str], bytes]]
"""The event of a job's new state, `(job, action)`, as headers and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be asked for."""

    integration_id: UUID
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reason: str = "requested"
    requested_by: str | None = None
    id: UUID = field(default_factory=uuid4)


class LeaseLost(Exception):
    """Somebody else has this job now, or it is over."""


async def request(transaction: Transaction, job: NewJob, tell: Tell, *, unless_waiting: bool = False) -> Row | None:
    """Ask for a job; its row, or None where it is there already or, `unless_waiting`, one of its kind waits."""
    row = await transaction.fetchrow(
        "job_request",
        job.id,
        job.integration_id,
        job.kind,
        dict(job.options),
        job.reason,
        job.requested_by,
        unless_waiting,
    )
    if row is not None:
        await say(transaction, [(row, "requested")], tell)
    return row


async def ask(database: Database, job: NewJob, tell: Tell) -> Row | None:
    """A job's row: a new one, or the one under way that is just the same; None where its integration is gone."""
    async with database.transaction() as transaction:
        row = await transaction.fetchrow("job_unfinished", job.integration_id, job.kind, dict(job.options))
        return row if row is not None else await request(transaction, job, tell)


async def say(transaction: Transaction, changes: Sequence[tuple[Row, str]], tell: Tell) -> None:
    """Put the events of these changes into the outbox."""
    told = [tell(row, action) for row, action in changes]
    await transaction.execute("outbox_add", [headers for headers, _ in told], [body for _, body in told])


async def find(database: Database, job_id: UUID) -> Row | None:
    """A job with the number of its failures."""
    return await database.fetchrow("job_show", job_id)


async def failures(database: Database, job_id: UUID, *, limit: int = 100) -> list[Row]:
    """What a job could not take over."""
    return await database.fetch("job_failures", job_id, limit)


async def cancel(database: Database, job_id: UUID, tell: Tell) -> bool:
    """Ask a job to end; whether it was still going."""
    async with database.transaction() as transaction:
        row = await transaction.fetchrow("job_cancel", job_id)
        if row is not None and row["status"] == "cancelled":  # else whoever runs it says so when it has ended
            await say(transaction, [(row, "cancelled")], tell)
    return row is not None


async def unlisted(
    transaction: Transaction, integration_id: UUID, complete: Collection[tuple[Ref, str]], present: Collection[Ref],
    observed_at: datetime,
) -> list[Ref]:  # fmt: skip
    """What lives below these containers and is not among `present`, though the listing of its type was complete."""
    if not complete:
        return []
    rows = await transaction.fetch(
        "object_unlisted",
        integration_id,
        [parent.type for parent, _ in complete],
        [parent.id for parent, _ in complete],
        [type_ for _, type_ in complete],
        [ref.object_id(integration_id) for ref in present],
        observed_at,
    )
    return [Ref(row["external_type"], row["external_id"]) for row in rows]
