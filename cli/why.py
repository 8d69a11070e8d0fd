"""`kb-ingest why`: where a row of the knowledge base came from."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from cli import output
from cli.settings import load
from cli.setup import admin
from schema.provenance import Provenance
from schema.provenance import why as chain

HEARD: Final = {
    "received_at": "Received", "type": "Type", "outcome": "Outcome", "applied_at": "Applied", "event_id": "Event",
    "reason": "Reason",
}  # fmt: skip


def why(
    wanted: Annotated[
        str, typer.Argument(metavar="OBJECT", help="The row's id, <type>/<id> as in task/868cq4m2x, or ClickUp's id.")
    ],
    *,
    integration: Annotated[UUID | None, typer.Option(help="Only of this integration.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what wrote an object: which delivery or job, and when it was changed, received and applied."""

    async def find() -> list[Provenance]:
        async with admin(load()) as database:
            return await chain(database, wanted, integration)

    found = asyncio.run(find())
    if not found:
        raise output.Failed(f"the knowledge base has no object {wanted!r}; an id is that of its address in ClickUp")
    if json:
        output.json([_plain(one) for one in found])
        return
    for number, one in enumerate(found):
        if number:
            output.say("")
        output.fields(_lines(one))
        output.table(HEARD, one.heard, empty="the journal has no delivery about it")


def _lines(one: Provenance) -> list[tuple[str, object]]:
    row, event, job = one.object, one.event, one.job
    name = f"{row['external_type']}/{row['external_id']}"
    lines: list[tuple[str, object]] = [
        ("object", f"{name}  {row['title'] or ''}".rstrip()),
        ("row", row["id"]),
        ("integration", f"{row['integration']} {row['integration_id']}"),
        ("state", f"deleted ({row['deleted_because']})" if row["deleted_at"] else row["status"] or "there"),
        ("version", f"{row['version']}, {row['action']}"),
        ("changed in ClickUp", _precise(row["external_updated_at"])),
    ]
    if row["provisional"]:
        lines.append(("not confirmed yet", ", ".join(sorted(row["provisional"]))))
    if event is not None:
        lines += [
            ("written by", f"delivery {event['event_id']}  {event['type']}"),
            ("received", _precise(event["received_at"])),
            ("published", _after(event["published_at"], event["received_at"])),
            ("journaled", _after(event["journaled_at"], event["received_at"])),
            ("stated", _after(row["stated_at"], event["received_at"])),
            ("applied", _after(row["synced_at"], row["received_at"] or event["received_at"])),
            ("trace", _trace(event["traceparent"])),
        ]
    elif job is not None:
        lines += [
            ("written by", f"{job['kind']} {job['id']}  ({job['reason'] or job['requested_by'] or 'asked for'})"),
            ("job started", _precise(job["started_at"])),
            ("applied", _precise(row["synced_at"])),
        ]
    else:
        lines += [
            ("written by", f"{row['caused_by']}, which neither the journal nor the jobs have any more"),
            ("applied", _after(row["synced_at"], row["received_at"])),
        ]
    return lines


def _precise(when: datetime | None) -> str | None:
    return when.astimezone().isoformat(sep=" ", timespec="milliseconds") if when else None


def _after(when: datetime | None, start: datetime | None) -> str | None:
    """A time, and how long after an earlier one."""
    if when is None or start is None:
        return _precise(when)
    return f"{_precise(when)}  (+{(when - start).total_seconds() * 1000:.0f} ms)"


def _trace(traceparent: str | None) -> str | None:
    """The trace id of a W3C trace context."""
    return traceparent.split("-")[1] if traceparent else None


def _plain(one: Provenance) -> dict[str, Any]:
    event = None if one.event is None else {**one.event, "trace_id": _trace(one.event["traceparent"])}
    job = None if one.job is None else {name: value for name, value in one.job.items() if not name.startswith("lease")}
    return {"object": dict(one.object), "event": event, "job": job, "heard": [dict(row) for row in one.heard]}
