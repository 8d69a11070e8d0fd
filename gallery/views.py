"""What each page shows: asked of the functions of the API, so that page and API never disagree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

from starlette.requests import Request

from gallery import models, registry
from gallery.api import dead_letters as letters
from gallery.api import events as log
from gallery.api import integrations, jobs, knowledge, overview, webhook
from gallery.paging import near
from gallery.problems import Problem
from gallery.resources import Resources, Tenant
from integrations.registry import CAPABILITIES, providers

View = Callable[[Request, Tenant], Awaitable[dict[str, Any]]]
Chosen = TypeVar("Chosen")

MOST: Final = 200
PERIODS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
OUTCOMES: Final = ("applied", "failed", "waiting")
SHORT: Final = 200


def shared(request: Request) -> Resources:
    """What the application has."""
    found: Resources = request.app.state.resources
    return found


def id_of(request: Request) -> UUID:
    """The id in the path. Raises `Problem`."""
    return identity(request.path_params["id"])


def identity(text: str) -> UUID:
    """An id in an address. Raises `Problem`."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Problem("not-found", "the address has no valid id; it may have been cut when it was copied") from error


def _word(request: Request, name: str) -> str | None:
    """A filter of the address, or nothing."""
    return request.query_params.get(name, "").strip()[:SHORT] or None


def _moment(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise Problem("invalid-request", "the time in the filter is none; choose it again") from error
    return near(at.replace(tzinfo=at.tzinfo or UTC)) if at is not None else None


def _since(request: Request) -> datetime | None:
    """Since when, by the word chosen in the form, or by the address."""
    if (within := _word(request, "within")) is None:
        return _moment(_word(request, "since"))
    if within not in PERIODS:
        raise Problem("invalid-request", "the time in the filter is none; choose it again")
    return shared(request).now() - PERIODS[within]


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise Problem("invalid-request", "the integration in the filter is none; choose it again") from error


async def _names(tenant: Tenant, resources: Resources) -> Mapping[UUID, models.Integration]:
    found = await integrations.list_integrations(tenant, resources, name=None, enabled=None, limit=MOST, cursor=None)
    return {one.id: one for one in found.items}


async def gallery(request: Request, tenant: Tenant) -> dict[str, Any]:
    """Everything that is connected, and what could be."""
    if not tenant.principal.may("integrations:read"):
        return {"items": None, "available": [], "stats": None, "capabilities": CAPABILITIES}
    resources = shared(request)
    found = await integrations.list_integrations(
        tenant, resources, name=None, enabled=None, limit=MOST, cursor=_word(request, "cursor")
    )
    return {
        "items": found.items,
        "more": found.next,
        "available": await integrations.list_available(),
        "stats": await overview.show_stats(tenant, resources),
        "capabilities": CAPABILITIES,
    }


async def integration(request: Request, tenant: Tenant) -> dict[str, Any]:
    """One integration: how fresh, how busy, how healthy."""
    resources = shared(request)
    row = await registry.find(tenant, str(id_of(request)))
    id_: UUID = row["id"]
    return {
        "one": registry.shown(row, resources),
        "activity": (await overview.show_activity(tenant, resources, id_)).items,
        "budget": await tenant.database.fetchrow("gallery_budget", id_),
        "hook": await webhook.show_webhook(str(id_), tenant, resources),
        "jobs": (
            await jobs.list_jobs(tenant, resources, integration_id=id_, status=None, limit=8, cursor=None)
        ).items,
        "audit": (await overview.list_audit(tenant, integration_id=id_, limit=6, cursor=None)).items,
        "failed": (
            await log.list_events(
                tenant, resources, integration_id=id_, type=None, subject=None, outcome="failed", since=None,
                until=None, limit=5, cursor=None,
            )
        ).items if tenant.principal.may("events:read") else [],
    }  # fmt: skip


async def connect(request: Request, tenant: Tenant) -> dict[str, Any]:
    """The form to connect a provider."""
    one = registry.provider(request.path_params["provider"])
    known = list((await _names(tenant, shared(request))).values())
    return {
        "provider": registry.available(one),
        "one": None,
        "etag": None,
        "deliver_to": None,
        "org": tenant.org_id or (known[0].org_id if known else ""),
        "project": tenant.project_id or (known[0].project_id if known else ""),
        "restricted": tenant.org_id is not None and tenant.project_id is not None,
    }


async def configure(request: Request, tenant: Tenant) -> dict[str, Any]:
    """The form of a connected integration."""
    row = await registry.find(tenant, str(id_of(request)))
    health = await webhook.show_webhook(str(row["id"]), tenant, shared(request))
    return {
        "provider": registry.available(registry.provider(row["name"])),
        "one": registry.shown(row, shared(request)),
        "etag": registry.etag(row),
        "deliver_to": health.deliver_to,
        "restricted": True,
        "org": row["org_id"],
        "project": row["project_id"],
    }


async def importing(request: Request, tenant: Tenant) -> dict[str, Any]:
    """The wizard of an import."""
    row = await registry.find(tenant, str(id_of(request)))
    return {
        "one": registry.shown(row, shared(request)),
        "provider": registry.available(registry.provider(row["name"])),
    }


async def job(request: Request, tenant: Tenant) -> dict[str, Any]:
    """A job, live."""
    found = await jobs.show_job(id_of(request), tenant, shared(request))
    now = shared(request).now()
    seconds = ((found.finished_at or now) - found.started_at).total_seconds() if found.started_at else 0.0
    return {
        "job": found,
        "one": (await _names(tenant, shared(request))).get(found.integration_id),
        "seconds": seconds,
        "objects": sum(sum(counts.values()) for counts in found.breakdown.values()),
    }


async def events(request: Request, tenant: Tenant) -> dict[str, Any]:
    """The delivery log with its filters."""
    outcome = _word(request, "outcome")
    if outcome not in (None, *OUTCOMES):
        raise Problem("invalid-request", f"an outcome is one of {', '.join(OUTCOMES)}")
    found = await log.list_events(
        tenant,
        shared(request),
        integration_id=_uuid(_word(request, "integration_id")),
        type=_word(request, "type"),
        subject=_word(request, "subject"),
        outcome=outcome,  # type: ignore[arg-type]  # looked at above
        since=_since(request),
        until=_moment(_word(request, "until")),
        limit=50,
        cursor=_word(request, "cursor"),
    )
    return {"events": found.items, "more": found.next, "names": await _names(tenant, shared(request))}


async def event(request: Request, tenant: Tenant) -> dict[str, Any]:
    """One event's whole story."""
    story = await log.show_event(id_of(request), tenant)
    return {"story": story, "one": (await _names(tenant, shared(request))).get(story.integration_id)}


async def dead_letters(request: Request, tenant: Tenant) -> dict[str, Any]:
    """What no consumer could handle, by reason."""
    found = await letters.list_dead_letters(
        tenant,
        shared(request),
        consumer=_word(request, "consumer"),
        integration_id=None,
        type=None,
        reason=_word(request, "reason"),
        limit=100,
    )
    return {"found": found}


async def search(request: Request, tenant: Tenant) -> dict[str, Any]:
    """Matches in the knowledge base."""
    asked, kind = _word(request, "q"), _word(request, "type")
    kinds = get_args(knowledge.Type)
    found = None
    if asked is not None:
        wanted = [kind] if kind in kinds else None
        found = (await knowledge.search(tenant, q=asked, type=wanted, integration_id=None, limit=50)).items  # type: ignore[arg-type]
    return {"found": found, "asked": asked or "", "kinds": kinds, "kind": kind}


async def stored(request: Request, tenant: Tenant) -> dict[str, Any]:
    """One object, and where it came from."""
    found = await knowledge.show_object(id_of(request), tenant)
    chains = await knowledge.explain(tenant, object=str(found.id), integration_id=None)
    return {"found": found, "why": chains.items[0] if chains.items else None}


async def audit(request: Request, tenant: Tenant) -> dict[str, Any]:
    """Who did what."""
    after = request.query_params.get("cursor", "")
    cursor = int(after) if after.isdecimal() and len(after) < 19 else None
    found = await overview.list_audit(tenant, integration_id=None, limit=50, cursor=cursor)
    return {"lines": found.items, "more": found.next, "names": await _names(tenant, shared(request))}


def docs(request: Request) -> dict[str, Any]:
    """The OpenAPI, to read."""
    schema = request.app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(
                {"path": path, "method": method.upper(), **operation}
            )
    return {"groups": groups, "about": schema["info"], "providers": list(providers())}
