"""What was applied, told: each change of the knowledge base is a `knowledge.*` event, written along with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson

from events.envelope import Envelope, derived_id
from schema.postgres import Row, Transaction


async def tell(transaction: Transaction, changed: Sequence[Row], traces: Mapping[UUID, str | None]) -> None:
    """Put these changes into the outbox, in their order. `traces` has the trace context of what caused them."""
    events = [event(row, traces.get(row["caused_by"])) for row in changed]
    if events:
        headers, bodies = [one.headers() for one in events], [one.data for one in events]
        await transaction.execute("outbox_add", headers, bodies)


def event(row: Row, traceparent: str | None) -> Envelope:
    """The event of one change. Its id follows from the object and its version: the same for ever."""
    return Envelope(
        id=derived_id(b"knowledge", row["id"].bytes, str(row["version"]).encode()),
        source=f"/knowledge/{row['integration_id']}",
        type=f"knowledge.{row['type']}.{row['action']}",
        subject=f"{row['external_type']}/{row['external_id']}",
        integration_id=row["integration_id"],
        time=row["synced_at"],
        traceparent=traceparent,
        data=orjson.dumps({name: value for name, value in row.items() if name != "news"}, default=str),
    )


def job_event(job: Row, action: str) -> tuple[dict[str, str], bytes]:
    """The `import.<action>` event of a job, as headers and body: requested, started, progressed, completed, ..."""
    data = orjson.dumps({name: value for name, value in job.items() if not name.startswith("lease")}, default=str)
    envelope = Envelope(
        id=derived_id(b"job", job["id"].bytes, action.encode(), str(job["updated_at"]).encode()),
        source=f"/jobs/{job['integration_id']}",
        type=f"import.{action}",
        subject=f"job/{job['id']}",
        integration_id=job["integration_id"],
        time=job["updated_at"],
        data=data,
    )
    return envelope.headers(), data
