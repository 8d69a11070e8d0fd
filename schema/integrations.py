"""Rows of the registry: create, read, enable, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schema.errors import DatabaseUnavailable
from schema.postgres import Database, Row
from schema.postgres_errors import is_conflict


class AlreadyConnected(Exception):
    """The project has an integration of this provider; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIntegration:
    """An integration to be created; its settings are sealed already."""

    id: UUID
    name: str
    display_name: str
    description: str | None
    enabled: bool
    org_id: str
    project_id: UUID
    settings_sealed: bytes
    created_by: str | None = None
    logo_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """A webhook secret to be added, sealed already."""

    id: UUID
    webhook_id: str
    secret_sealed: bytes


async def create(database: Database, new: NewIntegration, secrets: Sequence[NewSecret] = ()) -> Row:
    """Create an integration with its sync state and secrets. Raises `AlreadyConnected`."""
    try:
        async with database.transaction() as transaction:
            row = await transaction.fetchrow(
                "integration_create",
                new.id,
                new.name,
                new.display_name,
                new.description,
                new.enabled,
                new.org_id,
                new.project_id,
                new.settings_sealed,
                new.logo_url,
                new.created_by,
            )
            await transaction.execute("sync_create", new.id)
            for secret in secrets:
                await transaction.execute(
                    "webhook_secret_add", secret.id, new.id, secret.webhook_id, secret.secret_sealed
                )
            return row
    except Exception as error:
        if is_conflict(error):
            raise AlreadyConnected(
                f"project {new.project_id} has a {new.name} integration already; "
                "see it with `kb-ingest integration list`, or delete it first"
            ) from error
        raise


async def find(database: Database, integration_id: UUID | None = None) -> list[Row]:
    """All integrations with their sync state, newest first, or the one with this id."""
    return await database.fetch("integration_list", integration_id)


async def enable(database: Database, integration_id: UUID, *, enabled: bool) -> bool:
    """Switch an integration on or off; whether there is one with this id."""
    return await database.execute("integration_enable", integration_id, enabled) == 1


async def delete(
    database: Database, integration_id: UUID, *, unchanged_since: datetime | None = None, attempts: int = 3
) -> bool:
    """Delete an integration with everything it brought; whether there was one, unchanged if a time is given.

    Whoever writes its objects ends first. A job at work on it may still be met crosswise: then the server gives one of
    the two up, and this tries again.
    """
    try:
        async with database.transaction(within=60) as transaction:
            await transaction.fetch("integration_lock", str(integration_id), True)
            return await transaction.execute("integration_delete", integration_id, unchanged_since) == 1
    except DatabaseUnavailable:
        if attempts == 1:
            raise
    return await delete(database, integration_id, unchanged_since=unchanged_since, attempts=attempts - 1)
