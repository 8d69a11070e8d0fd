"""What a provider may use: its settings, turns to call its source, and what the knowledge base knows already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from integrations.budget import Budget, Priority, Turns
from integrations.sealed_rows import open_settings
from integrations.sealing import Keyring
from schema import knowledge
from schema.postgres import Database, Row
from schema.records import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a provider needs to look at its source.

    Attributes:
        settings: the integration's, opened.
        http: a pool of connections.
        url: the API's base address.
        turns: the right to call it.
        unknown: tells which objects the knowledge base has no row for.
        versions: when the source last changed those of these objects that live in the knowledge base, as it knows.
        living: ids of the living objects of a type after an id, in order, at most so many; of tasks only those in the
            given spaces or lists, if any are given.
        observed: the database's time, by which looks are ordered.
        now: the clock.
    """

    settings: Mapping[str, Any]
    http: httpx.AsyncClient
    url: str
    turns: Turns
    unknown: Callable[[Collection[Ref]], Awaitable[set[Ref]]]
    versions: Callable[[Collection[Ref]], Awaitable[Mapping[Ref, datetime | None]]]
    living: Callable[[str, str, int, Sequence[str], Sequence[str]], Awaitable[Sequence[str]]]
    observed: Callable[[], Awaitable[datetime]]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """Opens integrations: the same for every program that asks sources."""

    database: Database
    keyring: Keyring
    budget: Budget
    http: httpx.AsyncClient
    clickup_url: str
    now: Callable[[], datetime]

    def open(self, integration: Row, priority: Priority) -> Access:
        """Access for one integration, a row with `id` and `settings_encrypted`.

        Raises:
            integrations.sealing.SealError: its settings cannot be opened.
        """
        id_: UUID = integration["id"]
        return self.access(id_, open_settings(self.keyring, id_, integration["settings_encrypted"]), priority)

    def access(self, id_: UUID, settings: Mapping[str, Any], priority: Priority) -> Access:
        """Access with these settings, saved or not."""
        database = self.database
        token = str(settings.get("token") or "")

        async def unknown(refs: Collection[Ref]) -> set[Ref]:
            return await knowledge.unknown(database, id_, refs)

        async def versions(refs: Collection[Ref]) -> Mapping[Ref, datetime | None]:
            return {ref: row.version for ref, row in (await knowledge.standing(database, id_, refs)).items()}

        async def living(type_: str, after: str, limit: int, spaces: Sequence[str], lists: Sequence[str]) -> list[str]:
            rows = await database.fetch("object_living", id_, type_, after, limit, list(spaces), list(lists))
            return [row["external_id"] for row in rows]

        async def observed() -> datetime:
            row = await database.fetchrow("database_time")
            assert row is not None  # noqa: S101  it returns one row
            time: datetime = row["now"]
            return time

        return Access(
            settings=settings,
            http=self.http,
            url=self.clickup_url,
            turns=self.budget.turns(url=self.clickup_url, token=token, integration_id=id_, priority=priority),
            unknown=unknown,
            versions=versions,
            living=living,
            observed=observed,
            now=self.now,
        )
