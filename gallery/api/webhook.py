"""`/integrations/{name}/webhook`: how it is, putting it in order, removing it."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends, status

from gallery import models, registry
from gallery.idempotency import Once
from gallery.problems import told
from gallery.resources import InTheNameOf, Named, Shared, need
from schema.postgres import Row

router = APIRouter(prefix="/integrations/{name}/webhook", tags=["webhook"], route_class=Once)
READ: Final = [Depends(need("integrations:read"))]
WRITE: Final = [Depends(need("integrations:write"))]


@router.get("", dependencies=READ, responses=told(404, 409))
async def show_webhook(name: Named, tenant: InTheNameOf, shared: Shared) -> models.HookHealth:
    """The webhook as it was last seen at the source, how it has been, and the gap."""
    return await _health(await registry.find(tenant, name), tenant, shared)


async def _health(row: Row, tenant: InTheNameOf, shared: Shared) -> models.HookHealth:
    history = await tenant.database.fetch("gallery_health", row["id"])
    gap = await tenant.database.fetchrow("hook_show", row["id"])
    deliver_to = shared.public_url and f"{shared.public_url.rstrip('/')}/webhooks/{row['name']}/{row['id']}"
    return models.HookHealth(
        webhook=registry.shown(row, shared).webhook,
        deliver_to=deliver_to,
        history=[models.HookSeen(**dict(one)) for one in history],
        missed_today=gap["missed_today"] if gap else 0,
        missed=gap["missed"] if gap else 0,
    )


@router.post("", dependencies=WRITE, responses=told(404, 409, 502))
async def mend_webhook(
    name: Named, tenant: InTheNameOf, shared: Shared, wish: models.HookWish | None = None
) -> models.HookTended:
    """See that there is exactly one healthy webhook that delivers here: taken over, mended, or made."""
    wish = wish or models.HookWish()
    row = await registry.find(tenant, name)
    report = await shared.hooks.tend(
        row["id"], actor=tenant.principal.subject, wanted=True, rotate=wish.rotate, events=wish.events
    )
    after = await _health(await registry.find(tenant, str(row["id"])), tenant, shared)
    return models.HookTended(**after.model_dump(), did=list(report.did), problem=report.problem)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT, dependencies=WRITE, responses=told(404, 409, 502))
async def remove_webhook(name: Named, tenant: InTheNameOf, shared: Shared) -> None:
    """Remove the webhook at the source; nothing is delivered any more until it is registered again."""
    row = await registry.find(tenant, name)
    await shared.hooks.tend(row["id"], actor=tenant.principal.subject, wanted=False, rotate=False, events=None)
