"""`/events`: the delivery log, an event's whole story, and applying events anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from events import journal
from events.envelope import PREFIX
from events.journal import Search
from gallery import models
from gallery.idempotency import Once
from gallery.paging import Cursor, Limit, Moment, Page, page, place
from gallery.problems import Problem, told
from gallery.resources import InTheNameOf, Shared, Tenant, need
from schema.postgres import Row

router = APIRouter(prefix="/events", tags=["events"], route_class=Once)
READ: Final = [Depends(need("events:read"))]
REPLAY: Final = [Depends(need("events:replay"))]
REPLAYS_A_SECOND: Final = 1000.0
WAITING_FOR: Final = timedelta(days=1)


@router.get("", dependencies=READ, responses=told())
async def list_events(
    tenant: InTheNameOf,
    shared: Shared,
    *,
    integration_id: Annotated[UUID | None, Query()] = None,
    type: Annotated[str | None, Query(max_length=200, description="Only types that begin so.")] = None,  # noqa: A002
    subject: Annotated[str | None, Query(max_length=300, description="Only about this: <entity>/<id>.")] = None,
    outcome: Annotated[Literal["applied", "failed", "waiting"] | None, Query()] = None,
    since: Annotated[Moment | None, Query(description="Received then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Received before.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[models.Event]:
    """Accepted deliveries, newest first, and what became of each. Those that wait: of the last day, without `since`."""
    wanted = [integration_id] if integration_id is not None else await _reach(tenant)
    at, id_ = place(cursor)
    if outcome == "waiting" and since is None:
        since = shared.now() - WAITING_FOR  # else the whole log is looked through for the few that wait
    found = await tenant.database.fetch(
        journal.STATEMENTS.get(outcome, "deliveries"),
        at,
        id_,
        wanted,
        type,
        since,
        until,
        subject,
        outcome,
        limit + 1,
    )
    rows, after = page(found, limit, at="received_at", id_="event_id")
    return Page(items=[models.Event(id=row["event_id"], **dict(row)) for row in rows], next=after)


@router.get("/{id:uuid}", dependencies=READ, responses=told(404))
async def show_event(id: UUID, tenant: InTheNameOf) -> models.EventStory:  # noqa: A002  the path's name
    """One event: each time it was delivered, with its payload, and the rows whose last change it caused."""
    rows = await tenant.database.fetch("gallery_event", id)
    if not rows:
        raise Problem("not-found", "the delivery log has no such event that your credential may see")
    changed = await tenant.database.fetch("gallery_event_rows", id)
    last = rows[0]
    return models.EventStory(
        id=id,
        type=last["type"],
        subject=last["subject"],
        integration_id=last["integration_id"],
        outcome=last["outcome"],
        deliveries=[_delivery(row) for row in rows],
        changed=[models.RowChanged(**dict(row)) for row in changed],
    )


@router.post("/{id:uuid}/replay", status_code=202, dependencies=REPLAY, responses=told(404))
async def replay_event(id: UUID, tenant: InTheNameOf, shared: Shared) -> models.Replayed:  # noqa: A002
    """Publish an event again, with its id: a row changes only where it was wrong."""
    replayed = await _replay(tenant, shared, [id])
    if not replayed:
        raise Problem("not-found", "the delivery log has no such event that your credential may see")
    return models.Replayed(replayed=replayed)


@router.post("/replay", status_code=202, dependencies=REPLAY, responses=told())
async def replay_events(wanted: models.Ids, tenant: InTheNameOf, shared: Shared) -> models.Replayed:
    """Publish several events again. What is not in the log, or not yours, is left out of the count."""
    return models.Replayed(replayed=await _replay(tenant, shared, wanted.ids))


async def _replay(tenant: Tenant, shared: Shared, ids: list[UUID]) -> int:
    done = await journal.replay(
        tenant.database, shared.bus, Search(), ids=ids, rate=REPLAYS_A_SECOND, progress=lambda _done, _total: None
    )
    if done:
        await tenant.audit("events_replay", None, "done", events=[str(one) for one in ids[:20]], count=done)
    return done


async def _reach(tenant: Tenant) -> list[UUID] | None:
    """The integrations a restricted tenant has, so that the log is searched by its index; None for all."""
    if tenant.org_id is None and tenant.project_id is None:
        return None
    return [row["id"] for row in await tenant.database.fetch("gallery_reach")]


def _delivery(row: Row) -> models.Delivery:
    headers: dict[str, Any] = row["headers"]
    return models.Delivery(
        **{name: row[name] for name in models.Event.model_fields if name != "id"},
        id=row["event_id"],
        headers=headers,
        published_at=headers.get(f"{PREFIX}publishedat"),
        payload=bytes(row["body"]).decode("utf-8", "replace"),
    )
