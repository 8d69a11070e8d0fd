"""`/knowledge`: search, read, and ask where a row came from."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from gallery import models
from gallery.problems import Problem, told
from gallery.resources import InTheNameOf, need
from schema.provenance import why

router = APIRouter(prefix="/knowledge", tags=["knowledge"])
READ: Final = [Depends(need("knowledge:read"))]
SEARCH_SECONDS: Final = 10.0

Type = Literal["workspace", "space", "folder", "list", "task", "comment", "doc", "goal", "key_result"]


@router.get("/search", dependencies=READ, responses=told())
async def search(
    tenant: InTheNameOf,
    *,
    q: Annotated[str, Query(min_length=1, max_length=500, description='Words; "a phrase"; -without; a or b.')],
    type: Annotated[list[Type] | None, Query(description="Only these external types.")] = None,  # noqa: A002
    integration_id: Annotated[UUID | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> models.Matches:
    """The best matches over titles and bodies of what lives; the last word may be a beginning, outside a phrase."""
    rows = await tenant.database.fetch("gallery_search", q, type, integration_id, limit, within=SEARCH_SECONDS)
    return models.Matches(items=[models.Found(**dict(row)) for row in rows])


@router.get("/objects/{id}", dependencies=READ, responses=told(404))
async def show_object(id: UUID, tenant: InTheNameOf) -> models.Stored:  # noqa: A002  the path's name
    """One object, living or a tombstone."""
    row = await tenant.database.fetchrow("gallery_object", id)
    if row is None:
        raise Problem("not-found", "there is no such object that your credential may see")
    return models.Stored(**dict(row))


@router.get("/why", dependencies=READ, responses=told(404))
async def explain(
    tenant: InTheNameOf,
    *,
    object: Annotated[  # noqa: A002  as the command line has it
        str, Query(min_length=1, max_length=300, description="A row's id, <type>/<id>, or the source's id.")
    ],
    integration_id: Annotated[UUID | None, Query()] = None,
) -> models.Provenances:
    """Where a row came from: which delivery, import or sync wrote it, and when each step of that happened."""
    chains = await why(tenant.database, object, integration_id)
    if not chains:
        raise Problem("not-found", "there is no such object that your credential may see")
    return models.Provenances(
        items=[
            models.Why(
                object=dict(one.object),
                event=dict(one.event) if one.event else None,
                job=_job(one.job),
                heard=[dict(heard) for heard in one.heard],
            )
            for one in chains
        ]
    )


def _job(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    return {name: row[name] for name in ("id", "kind", "status", "reason", "created_at", "finished_at")}
