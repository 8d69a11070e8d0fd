"""`/stats`, `/activity`, `/audit`, `/me`: the installation at a glance, who did what, who you are."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from gallery import models
from gallery.paging import Limit, Page
from gallery.problems import told
from gallery.resources import InTheNameOf, Shared, Tenant, need, principal

router = APIRouter(tags=["overview"])
READ: Final = [Depends(need("integrations:read"))]
KEPT_SECONDS: Final = 10.0
KEPT_TIMES: Final = 20.0
"""Or so many times as long as it took: counting ten million objects is not done all the time."""
MOST_KEPT: Final = 500

Answer = TypeVar("Answer")


@router.get("/stats", dependencies=READ, responses=told())
async def show_stats(tenant: InTheNameOf, shared: Shared) -> models.Stats:
    """Counts over what the credential may see, some seconds old; or longer, where counting takes long."""

    async def count() -> models.Stats:
        row = await tenant.database.fetchrow("gallery_stats")
        objects = await tenant.database.fetch("overview_objects")
        assert row is not None  # noqa: S101  it always has one
        by_type = {one["external_type"]: {"living": one["living"], "deleted": one["deleted"]} for one in objects}
        return models.Stats(**dict(row), objects=by_type)

    return await _kept(tenant, shared, "stats", count)


@router.get("/activity", dependencies=READ, responses=told())
async def show_activity(
    tenant: InTheNameOf, shared: Shared, integration_id: Annotated[UUID | None, Query()] = None
) -> models.Activity:
    """The last hour by minute: changes in the knowledge base, and seconds from receipt to row."""

    async def minutes() -> models.Activity:
        rows = await tenant.database.fetch("gallery_minutes", integration_id)
        return models.Activity(items=[models.Minute(**dict(row)) for row in rows])

    return await _kept(tenant, shared, f"activity {integration_id}", minutes)


async def _kept(tenant: Tenant, shared: Shared, what: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """The same answer for a few seconds, for whoever sees the same: a page open at many desks costs one query."""
    key = (tenant.org_id, tenant.project_id, what)
    until, answer = shared.kept.get(key, (0.0, None))
    if answer is None or time.monotonic() > until:
        began = time.monotonic()
        answer = await ask()
        if len(shared.kept) >= MOST_KEPT:
            shared.kept.clear()
        now = time.monotonic()
        shared.kept[key] = (now + max(KEPT_SECONDS, KEPT_TIMES * (now - began)), answer)
    found: Answer = answer
    return found


@router.get("/audit", dependencies=READ, responses=told())
async def list_audit(
    tenant: InTheNameOf,
    *,
    integration_id: Annotated[UUID | None, Query()] = None,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the page before.")] = None,
) -> Page[models.Audited]:
    """Who did what to which integration, from where, with what outcome; newest first."""
    rows = await tenant.database.fetch("gallery_audit", cursor, integration_id, limit + 1)
    after = str(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page(items=[models.Audited(**dict(row)) for row in rows[:limit]], next=after)


@router.get("/me", responses=told())
async def show_me(request: Request) -> models.Me:
    """Who you are and what you may do."""
    who = principal(request)
    return models.Me(
        subject=who.subject,
        name=who.name,
        scopes=sorted(who.scopes),
        org_id=who.org_id,
        project_id=who.project_id,
        expires_at=who.expires_at,
    )
