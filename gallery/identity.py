"""Who is asking and what they may do, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

SCOPES: Final[Mapping[str, str]] = {
    "integrations:read": "see integrations, their masked settings, webhooks and jobs",
    "integrations:write": "connect, change, switch, sync and remove integrations",
    "events:read": "see the delivery log and dead letters",
    "events:replay": "publish events again, replay and discard dead letters",
    "knowledge:read": "search and read the knowledge base",
}
"""Everything that can be allowed, each with what it allows."""

Reason = Literal["missing", "malformed", "unknown", "expired", "revoked", "invalid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody we recognised.

    Attributes:
        subject: for logs and the audit: `token:<name>` or `oidc:<sub>`.
        name: for people.
        scopes: what is allowed.
        org_id: only what this organisation owns; None = not restricted.
        project_id: only this project; None = not restricted.
        token_id: the API token it came with, if it was one.
        expires_at: when the credential ends, if it does; a session ends with it.
    """

    subject: str
    name: str
    scopes: frozenset[str]
    org_id: str | None = None
    project_id: UUID | None = None
    token_id: UUID | None = None
    expires_at: datetime | None = None

    def may(self, scope: str) -> bool:
        """Whether this scope was given."""
        return scope in self.scopes


class NotRecognised(Exception):
    """Nobody we know. `reason` is for programs, the message for people; neither quotes the credential."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def stored(principal: Principal) -> dict[str, Any]:
    """What a session remembers of a principal; its token and its end are columns of their own."""
    return {
        "subject": principal.subject,
        "name": principal.name,
        "scopes": sorted(principal.scopes),
        "org_id": principal.org_id,
        "project_id": str(principal.project_id) if principal.project_id else None,
    }


def restored(value: Mapping[str, Any], *, expires_at: datetime) -> Principal:
    """The principal that `stored` was given, without a token."""
    return Principal(
        subject=value["subject"],
        name=value["name"],
        scopes=frozenset(value["scopes"]) & SCOPES.keys(),
        org_id=value["org_id"],
        project_id=UUID(value["project_id"]) if value["project_id"] else None,
        expires_at=expires_at,
    )
