"""`/integrations`: what can be connected, what is, and trying out, changing, switching, removing it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Query, Response, status

from gallery import models, registry
from gallery.idempotency import Once
from gallery.paging import Cursor, Limit, Page, page, place
from gallery.problems import Problem, told
from gallery.resources import InTheNameOf, Named, Shared, need
from integrations.budget import Priority
from integrations.registry import Impossible, NotNow, providers
from schema import integrations

router = APIRouter(prefix="/integrations", tags=["integrations"], route_class=Once)
READ: Final = [Depends(need("integrations:read"))]
WRITE: Final = [Depends(need("integrations:write"))]
PROBE_SECONDS: Final = 20.0
FAREWELL_SECONDS: Final = 8.0
NOBODY: Final = UUID(int=0)
"""Stands for an integration that is not there yet, where the rate budget tells integrations apart."""

IfMatch = Annotated[
    str | None, Header(max_length=400, description="The ETag it was read with: 412 if it changed since.")
]

log = structlog.get_logger()


@router.get("/available", dependencies=READ, responses=told())
async def list_available() -> list[models.Available]:
    """What can be connected, and what each wants to be told."""
    return [registry.available(one) for one in providers().values()]


@router.get("", dependencies=READ, responses=told())
async def list_integrations(
    tenant: InTheNameOf,
    shared: Shared,
    *,
    name: Annotated[str | None, Query(max_length=100, description="Only of this provider.")] = None,
    enabled: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[models.Integration]:
    """Integrations, newest first."""
    found = await tenant.database.fetch("gallery_integrations", *place(cursor), name, enabled, limit + 1)
    rows, after = page(found, limit, at="created_at", id_="id")
    return Page(items=[registry.shown(row, shared) for row in rows], next=after)


@router.post("", status_code=status.HTTP_201_CREATED, dependencies=WRITE, responses=told(409))
async def create_integration(
    new: models.NewIntegration, tenant: InTheNameOf, shared: Shared, response: Response
) -> models.Integration:
    """Connect an integration. An `Idempotency-Key` makes sure that a repeated request connects one."""
    id_ = await registry.create(tenant, shared, new)
    row = await registry.find(tenant, str(id_))
    response.headers["Location"] = f"/api/v1/integrations/{id_}"
    response.headers["ETag"] = registry.etag(row)
    return registry.shown(row, shared)


@router.get("/{name}", dependencies=READ, responses=told(404, 409))
async def show_integration(name: Named, tenant: InTheNameOf, shared: Shared, response: Response) -> models.Integration:
    """One integration, by its provider's name and `project_id`, or by its id. The ETag is its configuration's."""
    row = await registry.find(tenant, name)
    response.headers["ETag"] = registry.etag(row)
    return registry.shown(row, shared)


@router.get("/{name}/public", dependencies=READ, responses=told(404, 409))
async def show_public(name: Named, tenant: InTheNameOf) -> models.Public:
    """What everybody may know of it."""
    row = await registry.find(tenant, name)
    return models.Public(
        name=row["name"],
        display_name=row["display_name"],
        description=row["description"],
        enabled=row["enabled"],
        logo_url=row["logo_url"] or registry.logo_url(row["name"]),
        has_configuration=row["settings_encrypted"] is not None,
    )


@router.put("/{name}", dependencies=WRITE, responses=told(404, 409, 412))
async def replace_integration(
    name: Named, wish: models.Change, tenant: InTheNameOf, shared: Shared, response: Response, if_match: IfMatch = None
) -> models.Integration:
    """Change an integration; `settings`, if given, replace all there were but masked secrets."""
    return await _change(name, wish, tenant, shared, response, if_match, whole=True)


@router.patch("/{name}", dependencies=WRITE, responses=told(404, 409, 412))
async def change_integration(
    name: Named, wish: models.Change, tenant: InTheNameOf, shared: Shared, response: Response, if_match: IfMatch = None
) -> models.Integration:
    """Change an integration; of the settings, what is left out stays."""
    return await _change(name, wish, tenant, shared, response, if_match, whole=False)


async def _change(
    name: str, wish: models.Change, tenant: InTheNameOf, shared: Shared, response: Response, if_match: str | None, *,
    whole: bool,
) -> models.Integration:  # fmt: skip
    found = await registry.find(tenant, name)
    await registry.change(tenant, shared, found["id"], wish, if_match=if_match, whole=whole)
    row = await registry.find(tenant, str(found["id"]))
    response.headers["ETag"] = registry.etag(row)
    return registry.shown(row, shared)


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT, dependencies=WRITE, responses=told(404, 409, 412))
async def delete_integration(name: Named, tenant: InTheNameOf, shared: Shared, if_match: IfMatch = None) -> None:
    """Remove an integration and everything it brought. Its webhook is removed at the source first, if that answers."""
    row = await registry.find(tenant, name)
    registry.matching(row, if_match)
    if row["webhook_id"] is not None or await shared.hooks.known(row["id"]):
        await _farewell(tenant, shared, row["id"])
    seen = row["updated_at"] if if_match is not None and if_match.strip() != "*" else None
    if not await integrations.delete(tenant.database, row["id"], unchanged_since=seen):
        registry.matching(await registry.find(tenant, str(row["id"])), if_match)
        raise Problem("not-found", "it was deleted a moment ago")
    await tenant.audit(
        "integration_delete", row["id"], "done", org_id=row["org_id"], project_id=row["project_id"], name=row["name"]
    )


async def _farewell(tenant: InTheNameOf, shared: Shared, id_: UUID) -> None:
    """Remove the hook. One that is left would deliver to an address that answers 404, until the source gives up."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await shared.hooks.tend(id_, actor=tenant.principal.subject, wanted=False, rotate=False, events=None)
    except (Problem, TimeoutError, NotNow) as error:
        log.warning("gallery.hook_left", integration_id=str(id_), error=str(error) or type(error).__name__)


@router.post("/{name}/test", dependencies=WRITE, responses=told(404, 409))
async def try_connection(
    name: Named, tenant: InTheNameOf, shared: Shared, wanted: models.Tried | None = None
) -> models.Probed:
    """Try the connection: with the settings given, before they are saved, or with the saved ones."""
    settings = wanted.settings if wanted is not None else None
    if name in providers():
        one = providers()[name]
        rows = await tenant.database.fetch("gallery_integrations", None, None, name, None, 2)
        row = rows[0] if len(rows) == 1 else None
        if len(rows) > 1 and settings is None:
            raise Problem(
                "ambiguous", "several projects have it; add project_id to the query, or take the integration's id"
            )
    else:
        row = await registry.find(tenant, name)
        one = registry.provider(row["name"])
    opened = registry.tried(row, shared, one, settings)
    access = shared.opener.access(row["id"] if row else NOBODY, opened, Priority.WEBHOOK)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            found = await one.probe(access)
    except TimeoutError:
        message = f"{one.display_name} did not answer within {PROBE_SECONDS:.0f} s; try again later"
        return models.Probed(success=False, message=message, choices={})
    choices = {
        name: [models.Choice(id=one.id, name=one.name) for one in listed] for name, listed in found.choices.items()
    }
    return models.Probed(success=found.good, message=found.message, choices=choices)


@router.get("/{name}/structure", dependencies=READ, responses=told(404, 409, 502))
async def show_structure(name: Named, tenant: InTheNameOf, shared: Shared) -> models.Structure:
    """The source's containers, to choose from."""
    row = await registry.find(tenant, name)
    one = registry.provider(row["name"])
    access = shared.opener.open(row, Priority.SYNC)
    try:
        async with asyncio.timeout(2 * PROBE_SECONDS):
            found = await one.structure(access)
    except (Impossible, TimeoutError) as error:
        raise Problem("source-unavailable", str(error) or f"{one.display_name} took too long") from error
    return models.Structure.model_validate({"containers": found}, from_attributes=True)
