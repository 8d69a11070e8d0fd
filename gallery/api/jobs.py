"""`/integrations/{name}/sync` and `/jobs`: work over a whole source, asked for, watched, cancelled."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status

from events.applied import job_event
from gallery import models, registry
from gallery.idempotency import Once
from gallery.paging import Cursor, Limit, Page, page, place
from gallery.problems import Problem, told
from gallery.resources import InTheNameOf, Named, Shared, need
from integrations.errands import IMPORT, SYNC
from schema import jobs
from schema.jobs import NewJob
from schema.postgres import Row

router = APIRouter(tags=["jobs"], route_class=Once)
READ: Final = [Depends(need("integrations:read"))]
WRITE: Final = [Depends(need("integrations:write"))]
OPTIONS: Final = {
    "space_ids": "spaces",
    "list_ids": "lists",
    "include_archived": "archived",
    "include_completed": "closed",
    "include_comments": "comments",
    "include_docs": "docs",
    "include_goals": "goals",
    "since": "since",
}


@router.post(
    "/integrations/{name}/sync", status_code=status.HTTP_202_ACCEPTED, dependencies=WRITE, responses=told(404, 409)
)
async def request_job(
    name: Named, tenant: InTheNameOf, shared: Shared, response: Response, wish: models.SyncRequest | None = None
) -> models.Job:
    """Ask for a job: an import, a sync or a sweep. One that is under way and just the same is joined."""
    row, wish = await registry.find(tenant, name), wish or models.SyncRequest()
    if not row["enabled"]:
        raise Problem("disabled", "enable the integration first: PATCH it with {\"enabled\": true}")  # fmt: skip
    kind = wish.kind or (IMPORT if wish.full_sync or row["last_full_import_at"] is None else SYNC)
    given = wish.model_dump(exclude_none=True)
    options = {option: given[field] for field, option in OPTIONS.items() if field in given}
    new = NewJob(integration_id=row["id"], kind=kind, options=options, requested_by=tenant.principal.subject)
    job = await jobs.ask(tenant.database, new, job_event)
    if job is None:
        raise Problem("not-found", "the integration was deleted a moment ago")
    await tenant.audit("job_request", row["id"], "done", kind=kind, job_id=str(job["id"]))
    response.headers["Location"] = f"/api/v1/jobs/{job['id']}"
    return shown(await _found(tenant, job["id"]), shared)


@router.get("/jobs", dependencies=READ, responses=told())
async def list_jobs(
    tenant: InTheNameOf,
    shared: Shared,
    *,
    integration_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[Literal["queued", "running", "completed", "failed", "cancelled"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[models.Job]:
    """Jobs, newest first."""
    found = await tenant.database.fetch("gallery_jobs", *place(cursor), integration_id, status, limit + 1)
    rows, after = page(found, limit, at="created_at", id_="id")
    return Page(items=[shown(row, shared) for row in rows], next=after)


@router.get("/jobs/{id}", dependencies=READ, responses=told(404))
async def show_job(id: UUID, tenant: InTheNameOf, shared: Shared) -> models.JobDetail:  # noqa: A002  the path's name
    """One job: how far it is, and what it could not take over."""
    row = await _found(tenant, id)
    failed = await jobs.failures(tenant.database, id)
    kept = [models.JobFailure(**{name: one[name] for name in models.JobFailure.model_fields}) for one in failed]
    return models.JobDetail(**shown(row, shared).model_dump(), failed=kept)


@router.post("/jobs/{id}/cancel", dependencies=WRITE, responses=told(404, 409))
async def cancel_job(id: UUID, tenant: InTheNameOf, shared: Shared) -> models.Job:  # noqa: A002
    """End a job after the page it is at; what it read stays."""
    row = await _found(tenant, id)
    if not await jobs.cancel(tenant.database, id, job_event) and row["status"] != "cancelled":
        raise Problem("job-over", f"it is {row['status']}, and nothing is left to cancel")
    await tenant.audit("job_cancel", row["integration_id"], "done", job_id=str(id))
    return shown(await _found(tenant, id), shared)


async def _found(tenant: InTheNameOf, id_: UUID) -> Row:
    row = await jobs.find(tenant.database, id_)
    if row is None:
        raise Problem("not-found", "there is no such job that your credential may see; see GET jobs")
    return row


def shown(row: Row, shared: Shared) -> models.Job:
    """A job as it may leave."""
    fields: dict[str, Any] = {name: row[name] for name in models.Job.model_fields if name in row.keys()}  # noqa: SIM118
    progress = min(1.0, row["done"] / row["total"]) if row["total"] else None
    eta = None
    if row["status"] == "running" and row["started_at"] and row["total"] and row["done"]:
        gone = (shared.now() - row["started_at"]).total_seconds()
        eta = max(0.0, gone / row["done"] * (row["total"] - row["done"]))
    if row["status"] == "completed":
        progress = 1.0
    return models.Job(**fields, job_id=row["id"], progress=progress, eta_seconds=eta)
