"""What the gallery's routes may use, and in whose name a request is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Path, Query, Request

from events.bus import Bus
from events.topology import Queue
from gallery.access import Attempts, Gatekeeper
from gallery.identity import Principal
from gallery.problems import Problem
from gallery.sign_on import SignOn
from integrations.access import Opener
from integrations.sealing import Keyring
from schema.postgres import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReport:
    """What looking after a webhook brought.

    Attributes:
        did: what was done at the source, as words of the audit log.
        problem: what is wrong and what to do, where it could not be mended.
    """

    did: Sequence[str]
    problem: str | None


class Hooks(Protocol):
    """Looks after webhooks; the program that does it all day is another one, so it is handed in."""

    async def known(self, integration_id: UUID) -> bool:
        """Whether a secret of a hook of its is known, be that one looked at yet or not."""

    async def tend(
        self, integration_id: UUID, *, actor: str, wanted: bool, rotate: bool, events: str | None
    ) -> HookReport:
        """Put one hook in order now. Raises `Problem` while somebody else is at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the routes share.

    Attributes:
        database: under the role kb_gallery; `tenant` says in whose name.
        bus: to replay, and to look at dead letters.
        queues: whose dead letters there are.
        opener: asks sources.
        hooks: looks after webhooks.
        sign_on: sends visitors to an OpenID provider, if one is configured for that.
        public_url: where sources reach ingest, if somebody said so.
        now: the clock.
    """

    database: Database
    bus: Bus
    queues: Sequence[Queue]
    keyring: Keyring
    opener: Opener
    hooks: Hooks
    gatekeeper: Gatekeeper
    sign_on: SignOn | None
    public_url: str | None
    now: Callable[[], datetime]
    attempts: Attempts = field(default_factory=Attempts)
    kept: dict[Any, tuple[float, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """In whose name a request is made.

    Attributes:
        database: sees only what this tenant owns.
        origin: the address the request came from.
    """

    principal: Principal
    database: Database
    org_id: str | None
    project_id: UUID | None
    origin: str

    async def audit(
        self, action: str, integration_id: UUID | None, outcome: str, *, org_id: str | None = None,
        project_id: UUID | None = None, **details: Any,
    ) -> None:  # fmt: skip
        """A line of the audit log."""
        await self.database.execute(
            "audit_add", *self.line(action, integration_id, outcome, org_id, project_id, details)
        )

    def line(
        self, action: str, integration_id: UUID | None, outcome: str, org_id: str | None, project_id: UUID | None,
        details: Mapping[str, Any],
    ) -> tuple[object, ...]:  # fmt: skip
        """The arguments of `audit_add`."""
        org, project = org_id or self.org_id, project_id or self.project_id
        return self.principal.subject, action, integration_id, outcome, dict(details), self.origin, org, project


def resources(request: Request) -> Resources:
    """What the application has."""
    found: Resources = request.app.state.resources
    return found


def principal(request: Request) -> Principal:
    """Who asks, as `gallery.authentication` found."""
    found: Principal | None = request.scope.get("kb.principal")
    if found is None:
        refusal: Problem | None = request.scope.get("kb.refusal")
        raise refusal or Problem("not-authenticated", "send `Authorization: Bearer <token>`")
    return found


def need(scope: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets through whoever has this scope."""

    async def check(request: Request) -> None:
        if not principal(request).may(scope):
            raise Problem(
                "missing-scope",
                f"this needs the scope {scope}; `kb-ingest token create --scope {scope}` makes a token that has it",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
                missing_scope=scope,
            )

    return check


async def tenant(
    request: Request,
    shared: Annotated[Resources, Depends(resources)],
    org_id: Annotated[str | None, Query(max_length=200, description="Only what this organisation owns.")] = None,
    project_id: Annotated[UUID | None, Query(description="Only this project.")] = None,
) -> Tenant:
    """The tenant of a request: what the credential is restricted to, narrowed by the query."""
    who = principal(request)
    for name, own, wanted in (("organisation", who.org_id, org_id), ("project", who.project_id, project_id)):
        if own is not None and wanted is not None and own != wanted:
            raise Problem("out-of-reach", f"your credential is for the {name} {own} only")
    org, project = who.org_id or org_id, who.project_id or project_id
    return Tenant(
        principal=who,
        database=shared.database.of(org, project),
        org_id=org,
        project_id=project,
        origin=request.client.host if request.client else "unknown",
    )


Named = Annotated[str, Path(max_length=200, description="The provider's name, or the integration's id.")]
Shared = Annotated[Resources, Depends(resources)]
InTheNameOf = Annotated[Tenant, Depends(tenant)]
